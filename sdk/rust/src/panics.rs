//! A panic leaves its message where the host finds it, and traps.

#[cfg(all(target_arch = "wasm32", not(feature = "std")))]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    match info.location() {
        Some(place) => crate::abi::last_words(&info.message(), place),
        None => crate::abi::last_words(&info.message(), &"an unknown place"),
    }
    core::arch::wasm32::unreachable()
}

/// The standard library has a handler of its own, which asks this.
#[cfg(feature = "std")]
pub(crate) fn hook() {
    use std::boxed::Box;
    use std::string::String;
    use std::sync::Once;

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if !cfg!(target_arch = "wasm32") {
            return;
        }
        std::panic::set_hook(Box::new(|info| {
            let payload = info.payload();
            let message = payload.downcast_ref::<&str>().copied();
            let message = message.or(payload.downcast_ref::<String>().map(String::as_str));
            match info.location() {
                Some(place) => crate::abi::last_words(&message.unwrap_or("a panic"), place),
                None => crate::abi::last_words(&message.unwrap_or("a panic"), &"an unknown place"),
            }
        }));
    });
}
