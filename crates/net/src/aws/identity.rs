//! Who asks, as options say.

/// Who asks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity<'a> {
    /// The region.
    pub region: &'a str,
    /// A role to assume.
    pub role_arn: Option<&'a str>,
    /// What the role asks for.
    pub external_id: Option<&'a str>,
    /// Where STS is.
    pub sts_endpoint: Option<&'a str>,
    /// A profile of the shared files.
    pub profile: Option<&'a str>,
}
