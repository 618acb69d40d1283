//! Panics of plugins, caught where plugins are called, so that a bug in one of them costs a batch and not the agent.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flb_plugin::BoxFuture;

/// Runs `call`; a panic becomes its message.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| message(payload.as_ref()))
}

/// Awaits `future`; a panic becomes its message, and the future is not polled again.
pub(crate) async fn caught_async<T>(mut future: BoxFuture<'_, T>) -> Result<T, String> {
    poll_fn(|cx| match caught(|| future.as_mut().poll(cx)) {
        Ok(poll) => poll.map(Ok),
        Err(message) => std::task::Poll::Ready(Err(message)),
    })
    .await
}

fn message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message() {
        assert_eq!(caught(|| 5), Ok(5));
        assert_eq!(caught(|| panic!("plain")).map(|()| 0), Err("plain".to_owned()));
        assert_eq!(caught(|| panic!("no. {}", 7)).map(|()| 0), Err("no. 7".to_owned()));
    }
}
