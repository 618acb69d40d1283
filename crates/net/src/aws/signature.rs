//! Signature version 4: the headers by which AWS's services know who asks. Plain arithmetic; who signs, and when, comes in.

use std::borrow::Cow;
use std::fmt::Write as _;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use ring::{digest, hmac};

use super::credentials::Credentials;
use crate::hex::digits;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// A request as it is sent.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// The path, with what stands behind a `?`, escaped as it is sent.
    pub path: &'a str,
    /// The headers that are signed, with names in lower case; `host` is among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body.
    pub body: &'a [u8],
}

/// For whom a request is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) region: String,
    pub(super) service: String,
}

impl Scope {
    /// Whether paths are signed as they are sent: any object may be called so.
    fn takes_paths_as_they_are(&self) -> bool {
        self.service == "s3"
    }

    /// Whether the service wants to see the body's digest in a header of its own.
    fn wants_digest(&self) -> bool {
        matches!(self.service.as_str(), "s3" | "aoss")
    }
}

/// The headers that sign a request: names in lower case, and values.
pub(super) fn sign(
    request: &Request<'_>,
    scope: &Scope,
    credentials: &Credentials,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let date = &time[..8];
    let digest = sha256(request.body);
    let mut added = vec![("x-amz-date", time.clone())];
    if scope.wants_digest() {
        added.push(("x-amz-content-sha256", digest.clone()));
    }
    if let Some(token) = &credentials.token {
        added.push(("x-amz-security-token", token.clone()));
    }
    let (headers, names) = headers(request, &added);
    let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
    let path = match scope.takes_paths_as_they_are() {
        true => Cow::Borrowed(path),
        false => Cow::Owned(escaped(&normal(path), "/")),
    };
    let (method, query) = (request.method, sorted(query));
    let canonical = format!("{method}\n{path}\n{query}\n{headers}\n{names}\n{digest}");
    let place = format!("{date}/{}/{}/aws4_request", scope.region, scope.service);
    let text = format!("{ALGORITHM}\n{time}\n{place}\n{}", sha256(canonical.as_bytes()));
    let signature = digits(mac(&key(scope, &credentials.secret, date), &text).as_ref());
    let credential = format!("{}/{place}", credentials.key_id);
    added.push((
        "authorization",
        format!(
            "{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
        ),
    ));
    added
}

/// The headers of a signature, which no log shows.
pub(super) fn headers_of(added: Vec<(&'static str, String)>) -> HeaderMap {
    let headers = added.into_iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_static(name), value))
    });
    headers.collect()
}

/// The digest of some bytes, in hexadecimal.
fn sha256(bytes: &[u8]) -> String {
    digits(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

/// The key of a day, made of the secret.
fn key(scope: &Scope, secret: &str, date: &str) -> Vec<u8> {
    let secret = format!("AWS4{secret}").into_bytes();
    let parts = [date, &scope.region, &scope.service, "aws4_request"];
    parts.iter().fold(secret, |key, part| mac(&key, part).as_ref().to_vec())
}

/// The lines of all headers by their names, and the names. Values of one name stand in one line.
fn headers(request: &Request<'_>, added: &[(&'static str, String)]) -> (String, String) {
    let added = added.iter().map(|(name, value)| (*name, value.as_str()));
    let mut all: Vec<(&str, &str)> = request.headers.iter().copied().chain(added).collect();
    all.sort_by_key(|(name, _)| *name);
    let mut lines = String::new();
    let mut names: Vec<&str> = Vec::new();
    for (name, value) in all {
        let words: Vec<&str> = value.split_whitespace().collect();
        let value = words.join(" ");
        if names.last() == Some(&name) {
            lines.pop();
            // Writing to a text does not fail.
            let _ = writeln!(lines, ",{value}");
        } else {
            let _ = writeln!(lines, "{name}:{value}");
            names.push(name);
        }
    }
    (lines, names.join(";"))
}

/// A path without steps that lead nowhere.
fn normal(path: &str) -> String {
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    let end = if path.ends_with('/') && !steps.is_empty() { "/" } else { "" };
    format!("/{}{end}", steps.join("/"))
}

/// What stands behind the `?`, in order.
fn sorted(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (escaped_anew(name), escaped_anew(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

fn escaped_anew(text: &str) -> String {
    escaped_bytes(&plain(text), "")
}

/// The bytes of a text in which some may be escaped.
fn plain(text: &str) -> Vec<u8> {
    let (bytes, mut plain, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        let read = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%').and_then(crate::hex::bytes);
        match read.as_deref() {
            Some([read]) => {
                plain.push(*read);
                at += 3;
            }
            _ => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

/// A text as it stands in a path or behind a `?`; `kept` are bytes that stay, beside those that nobody escapes.
pub fn escaped(text: &str, kept: &str) -> String {
    escaped_bytes(text.as_bytes(), kept)
}

fn escaped_bytes(bytes: &[u8], kept: &str) -> String {
    let mut escaped = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(*byte));
            }
            byte if kept.as_bytes().contains(byte) => escaped.push(char::from(*byte)),
            byte => {
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(service: &str) -> Scope {
        Scope { region: "us-east-1".to_owned(), service: service.to_owned() }
    }

    fn credentials(key_id: &str, secret: &str) -> Credentials {
        let (key_id, secret) = (key_id.to_owned(), secret.to_owned());
        Credentials { key_id, secret, token: None, until: None }
    }

    fn authorization(headers: &[(&'static str, String)]) -> String {
        headers.last().unwrap().1.clone()
    }

    /// A request as a file has it: lines that begin with a blank go on with the one before.
    fn read(text: &str) -> (String, String, Vec<(String, String)>, String) {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let first = lines.next().unwrap().strip_suffix(" HTTP/1.1").unwrap();
        let (method, path) = first.split_once(' ').unwrap();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            match line.split_once(':').filter(|_| !line.starts_with(' ')) {
                Some((name, value)) => headers.push((name.to_lowercase(), value.to_owned())),
                None => headers.last_mut().unwrap().1.push_str(line),
            }
        }
        (method.to_owned(), path.to_owned(), headers, body.to_owned())
    }

    #[test]
    fn amazons_own_vectors_come_out() {
        let vectors = include_str!("../../tests/aws/signatures.txt");
        let who = credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
        let now = "2015-08-30T12:36:00Z".parse().unwrap();
        let mut count = 0;
        for vector in vectors.split("=== ").skip(1) {
            let (name, rest) = vector.split_once('\n').unwrap();
            let (request, expected) = rest.split_once("\n--- ").unwrap();
            let (names, signature) = expected.trim_end().split_once(' ').unwrap();
            let (method, path, mut headers, body) = read(request);
            let mut who = who.clone();
            if names.contains("x-amz-security-token") {
                let at = headers.iter().position(|(name, _)| name == "x-amz-security-token");
                who.token = Some(headers.remove(at.unwrap()).1);
            }
            if names.contains("x-amz-content-sha256") {
                headers.push(("x-amz-content-sha256".to_owned(), sha256(body.as_bytes())));
            }
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let request =
                Request { method: &method, path: &path, headers: &headers, body: body.as_bytes() };
            let signed = authorization(&sign(&request, &scope("service"), &who, now));
            let end = format!("SignedHeaders={names}, Signature={signature}");
            assert!(signed.ends_with(&end), "{name}: {signed}, not {end}");
            count += 1;
        }
        assert_eq!(count, 31);
    }

    #[test]
    fn the_examples_of_s3_come_out() {
        let who = credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
        let now = "2013-05-24T00:00:00Z".parse().unwrap();
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let put = [
            host,
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        for (method, path, headers, body, expected) in [
            (
                "GET",
                "/test.txt",
                &[host, ("range", "bytes=0-9")][..],
                "",
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "PUT",
                "/test%24file.text",
                &put,
                "Welcome to Amazon S3.",
                "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ),
            (
                "GET",
                "/?lifecycle",
                &[host],
                "",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "GET",
                "/?max-keys=2&prefix=J",
                &[host],
                "",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let request = Request { method, path, headers, body: body.as_bytes() };
            let signed = authorization(&sign(&request, &scope("s3"), &who, now));
            assert!(signed.ends_with(&format!("Signature={expected}")), "{path}: {signed}");
        }
    }

    #[test]
    fn a_query_is_signed_as_it_reads_and_not_as_it_is_written() {
        assert_eq!(sorted("b=%2a&a=1&a=%c3%a9&c"), "a=%C3%A9&a=1&b=%2A&c=");
        assert_eq!(sorted("a=%zz&b=%"), "a=%25zz&b=%25");
    }
}
