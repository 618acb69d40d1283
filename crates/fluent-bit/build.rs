//! Links the plugin so that it stays mapped when the agent closes it: handlers and threads of the process's point into it.

fn main() {
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    println!("cargo::rerun-if-changed=build.rs");
}
