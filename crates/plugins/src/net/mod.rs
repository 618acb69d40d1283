//! What the plugins that use the network share: listening and serving, dialling, TLS, memory for what comes in.

pub(crate) mod buffer;
pub(crate) mod dial;
pub(crate) mod forward;
pub(crate) mod hex;
pub(crate) mod http_client;
pub(crate) mod listener;
pub(crate) mod options;
pub(crate) mod places;
pub(crate) mod server;
pub(crate) mod stream;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod tls;
