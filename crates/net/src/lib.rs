//! What the plugins that use the network share: listening and serving, dialling, TLS, memory for what comes in.

pub mod api_client;
pub mod aws;
pub mod background;
pub mod buffer;
pub mod connections;
pub mod datagrams;
pub mod dial;
pub mod forward;
pub mod grpc;
pub mod hex;
pub mod http_client;
mod http_parts;
pub mod imds;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod listener;
pub mod oauth2;
pub mod options;
pub mod otlp;
pub mod packing;
pub mod places;
pub mod server;
pub mod stream;
pub mod tls;
pub mod unzstd;
