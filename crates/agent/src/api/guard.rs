//! What a browser may do with the HTTP server: show the page, and nothing on behalf of other pages.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

/// Of where in a web page a request comes from, as browsers say.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// Whether a web page makes the request. Programs that people run do not say so; browsers always do when a page wants
/// something changed.
pub(super) fn is_of_a_page(headers: &HeaderMap) -> bool {
    let is_typed_in = |site: &HeaderValue| site == "none";
    headers.contains_key(header::ORIGIN)
        || headers.get(FETCH_SITE).is_some_and(|site| !is_typed_in(site))
}

/// Whether the server is asked by an address, by `localhost`, or by the name that the machine gives itself. A page from elsewhere
/// whose name was made to lead here, which a browser cannot tell from this one, asks by another name.
pub(super) fn is_at_home(headers: &HeaderMap, hostname: &str) -> bool {
    let authority = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let Some(Ok(authority)) = authority.map(str::parse::<Authority>) else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is = |name: &str| !name.is_empty() && host.eq_ignore_ascii_case(name);
    is("localhost") || is(hostname) || host.parse::<IpAddr>().is_ok()
}

/// Adds what keeps browsers from more than the page needs: its own files, and data from its own server.
pub(super) fn secured(mut answer: Response) -> Response {
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (RESOURCE_POLICY, "same-origin"),
        (OPENER_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

/// Nothing within the page's text is run or made to look different, whatever records and names say.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

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
    fn a_name_that_is_not_the_machine_s_own_may_be_anybody_s() {
        for (host, expected) in [
            ("127.0.0.1:2020", true),
            ("[::1]:2020", true),
            ("10.1.2.3", true),
            ("localhost:2020", true),
            ("Web-1:2020", true),
            ("rebound.example:2020", false),
            ("localhost.example", false),
            ("", false),
        ] {
            let headers = [(header::HOST, HeaderValue::from_static(host))].into_iter().collect();
            assert_eq!(is_at_home(&headers, "web-1"), expected, "{host}");
        }
        assert!(!is_at_home(&HeaderMap::new(), "web-1"));
        let empty = [(header::HOST, HeaderValue::from_static("x"))].into_iter().collect();
        assert!(!is_at_home(&empty, ""));
    }
}
