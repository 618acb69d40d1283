//! What a service says of a request that it does not take, in JSON or in XML.

use flb_event::{Accessor, json};
use flb_plugin::log::excerpt;

use super::xml::element;

/// Codes of those who ask with what has run out, or is no longer theirs.
const STALE: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "RequestExpired",
    "TokenRefreshRequired",
    "UnrecognizedClientException",
];

/// Codes of services that are busy.
const BUSY: &[&str] = &[
    "LimitExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
];

/// Why a service does not take a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status.
    pub status: u16,
    /// The error's name, or nothing.
    pub code: String,
    /// What is said of it.
    pub message: String,
}

impl Refusal {
    /// Reads the answer.
    pub fn of(status: u16, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let (code, message) = in_json(body).unwrap_or_else(|| {
            let message = element(&text, "Message");
            (element(&text, "Code").unwrap_or_default(), message.unwrap_or_default())
        });
        let is_name = code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
        let code = if is_name && code.len() <= 80 { code } else { String::new() };
        let said = if code.is_empty() { body } else { message.as_bytes() };
        Self { status, code, message: excerpt(said) }
    }

    /// Whether other credentials may be taken.
    pub fn is_stale(&self) -> bool {
        STALE.contains(&self.code.as_str())
    }

    /// Whether the service is there, and has too much to do.
    pub fn is_busy(&self) -> bool {
        self.status == 429 || self.status >= 500 || BUSY.contains(&self.code.as_str())
    }

    /// The reason in one word, for a counter.
    pub fn reason(&self) -> String {
        if self.code.is_empty() { self.status.to_string() } else { self.code.clone() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HTTP status={} {}", self.status, self.code)?;
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        let help = match self.code.as_str() {
            "RequestTimeTooSkewed" => "set this machine's clock",
            "SignatureDoesNotMatch" => "check the secret key and the region",
            "AccessDenied" | "AccessDeniedException" => "allow it in the role's policy",
            "NoSuchBucket" => "make the bucket, or check its name",
            "PermanentRedirect" | "AuthorizationHeaderMalformed" => "check the region",
            _ => return Ok(()),
        };
        write!(f, "; {help}")
    }
}

/// `{"__type":"namespace#Name","message":".."}`
fn in_json(body: &[u8]) -> Option<(String, String)> {
    let mut object = Vec::new();
    json::parse_object(body, &mut object).ok()?;
    let text = |name: &str| {
        let found = Accessor::of_key(name).find_str(&object)?;
        Some(String::from_utf8_lossy(found).into_owned())
    };
    let code = text("__type").or_else(|| text("code"))?;
    let code = code.rsplit('#').next().unwrap_or_default();
    let code = code.split(':').next().unwrap_or_default().to_owned();
    Some((code, text("message").or_else(|| text("Message")).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, body: &str) -> Refusal {
        Refusal::of(status, body.as_bytes())
    }

    #[test]
    fn an_error_is_named_in_json_and_in_xml() {
        let throttled = read(
            400,
            r#"{"__type":"com.amazonaws.logs#ThrottlingException","message":"Rate\nexceeded"}"#,
        );
        assert_eq!(throttled.to_string(), "HTTP status=400 ThrottlingException: Rate\\nexceeded");
        assert!(throttled.is_busy() && !throttled.is_stale());
        let stale = read(
            403,
            "<?xml version=\"1.0\"?><Error><Code>ExpiredToken</Code><Message>It &lt;ran&gt; out</Message></Error>",
        );
        assert_eq!(stale.to_string(), "HTTP status=403 ExpiredToken: It <ran> out");
        assert!(stale.is_stale() && !stale.is_busy());
        let strange = read(502, "<html>\x1b[31mBad</html>");
        assert_eq!((strange.code.as_str(), strange.reason().as_str()), ("", "502"));
        assert!(strange.is_busy() && !strange.to_string().contains('\x1b'));
        let forged = read(400, "<Code>a\nb</Code><Message>m</Message>");
        assert_eq!(forged.reason(), "400");
        let denied = read(403, "<Code>AccessDenied</Code><Message>no</Message>");
        assert!(denied.to_string().ends_with("; allow it in the role's policy"));
    }
}
