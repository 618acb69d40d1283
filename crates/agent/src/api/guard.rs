//! What a browser may do with the HTTP server: show the page, and nothing on behalf of other pages.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::PAGE;

/// Of where in a web page a request comes from, as browsers say.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Whether a web page makes the request. Programs that people run do not say so; browsers always do when a page wants
/// something changed.
pub(super) fn is_of_a_page(headers: &HeaderMap) -> bool {
    let is_typed_in = |site: &HeaderValue| site == "none";
    headers.contains_key(header::ORIGIN)
        || headers.get(FETCH_SITE).is_some_and(|site| !is_typed_in(site))
}

/// Adds what keeps browsers from more than the page needs: its own script and style, and data from its own server.
pub(super) fn secured(mut answer: Response) -> Response {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (RESOURCE_POLICY, "same-origin"),
    ];
    let headers = answer.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY.clone());
    answer
}

static CONTENT_POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let (script, style) = (digest("script"), digest("style"));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("base64 is fit for a header")
});

/// Of what stands within the page's element of this name.
fn digest(element: &str) -> String {
    let inside = PAGE.split_once(&format!("<{element}>")).and_then(|(_, behind)| {
        behind.split_once(&format!("</{element}>")).map(|(inside, _)| inside)
    });
    STANDARD.encode(Sha256::digest(inside.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &'static str)], expected: bool) {
        let pairs = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        assert_eq!(is_of_a_page(&pairs.collect()), expected, "{headers:?}");
    }

    #[test]
    fn pages_are_told_from_programs() {
        check(&[], false);
        check(&[("host", "agent.example:2020"), ("user-agent", "curl/8")], false);
        check(&[("sec-fetch-site", "none")], false);
        check(&[("sec-fetch-site", "cross-site")], true);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("origin", "http://elsewhere.example")], true);
        check(&[("origin", "null")], true);
        check(&[("host", "rebound.example:2020"), ("origin", "http://rebound.example:2020")], true);
    }

    #[test]
    fn the_page_has_one_script_and_one_style() {
        for element in ["script", "style"] {
            assert_eq!(PAGE.matches(&format!("<{element}")).count(), 1);
            assert_ne!(digest(element), STANDARD.encode(Sha256::digest("")));
        }
        assert!(!PAGE.contains(" style=") && !PAGE.contains(" onclick="));
    }
}
