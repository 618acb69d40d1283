//! How JSON text is printed.

/// How [`write()`](super::write()) prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonOptions {
    /// Whether text beyond ASCII is printed as `\uxxxx`; if not, it is printed as it is. Fluent Bit's
    /// `json.escape_unicode`, on by default.
    pub escape_unicode: bool,
}

impl Default for JsonOptions {
    fn default() -> Self {
        Self { escape_unicode: true }
    }
}
