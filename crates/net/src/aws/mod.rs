//! What the outputs for AWS's services share, and those that sign for them: who asks, by the chain that Amazon's programs know, and
//! signatures of version 4.

mod clock;
mod container;
mod credentials;
mod endpoint;
mod identity;
mod ini;
mod instance;
#[cfg(test)]
mod oracle;
mod profiles;
mod refusal;
mod service;
mod signature;
mod signer;
mod sources;
mod sts;
#[cfg(test)]
mod tests;
mod wallet;
mod xml;

use flb_plugin::keys;
use flb_plugin::keys::{Bool, Key, Text};

pub use clock::Clock;
pub use credentials::{Credentials, CredentialsError};
pub use endpoint::Endpoint;
pub use identity::Identity;
pub use refusal::Refusal;
pub use service::{Call, CallError, Service};
pub use signature::{Request, escaped};
pub use signer::Signer;
pub use wallet::Wallet;
pub use xml::{element, elements};

keys! {
    /// Who signs, for outputs whose server may be one of AWS's services.
    pub const AUTH_KEYS;
    AWS_AUTH: Bool = Key::new("aws_auth", "Sign requests for AWS").default("off");
    AWS_REGION: Option<Text> = Key::new("aws_region", "Region of the service");
    AWS_ROLE_ARN: Option<Text> = Key::new("aws_role_arn", "ARN of a role to assume");
    AWS_EXTERNAL_ID: Option<Text> =
        Key::new("aws_external_id", "External ID that this role asks for");
    AWS_STS_ENDPOINT: Option<Text> =
        Key::new("aws_sts_endpoint", "Server of STS in place of AWS's own");
    AWS_PROFILE: Option<Text> =
        Key::new("aws_profile", "Profile of the shared files of credentials");
}

keys! {
    /// For which service, where it may be any.
    pub const SERVICE_KEYS;
    pub AWS_SERVICE: Option<Text> = Key::new("aws_service", "Service that is signed for");
}

keys! {
    /// Who asks, for outputs of AWS's services.
    pub const KEYS;
    pub ENDPOINT: Option<Text> =
        Key::new("endpoint", "Server in place of AWS's own: https://host:port");
    pub ROLE_ARN: Option<Text> = Key::new("role_arn", "ARN of a role to assume");
    pub EXTERNAL_ID: Option<Text> = Key::new("external_id", "External ID that this role asks for");
    pub STS_ENDPOINT: Option<Text> =
        Key::new("sts_endpoint", "Server of STS in place of AWS's own");
    pub PROFILE: Option<Text> =
        Key::new("profile", "Profile of the shared files of credentials");
    pub AUTO_RETRY_REQUESTS: Bool =
        Key::new("auto_retry_requests", "Ask once more at once when a request fails").default("on");
    pub TLS: Bool = Key::new("tls", "Speak TLS").default("on");
}
