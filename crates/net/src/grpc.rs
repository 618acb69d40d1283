//! A call of gRPC with one message each way: how messages are framed, and what an answer means.

use http_body_util::BodyExt as _;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::packing::Packing;

/// What stands before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// The content type of calls.
pub const CONTENT_TYPE: &str = "application/grpc";

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// 0 is good.
    pub code: u32,
    /// What the server says of any other.
    pub words: String,
    /// Its message.
    pub message: Vec<u8>,
}

/// The headers of a call whose message is packed so.
pub fn headers(packing: Packing) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("te"), HeaderValue::from_static("trailers"));
    if let Some(name) = packing.name() {
        headers.insert(HeaderName::from_static("grpc-encoding"), HeaderValue::from_static(name));
    }
    headers
}

/// A message as a call's body.
pub fn framed(message: Vec<u8>, packing: Packing) -> Vec<u8> {
    let message = packing.pack(message);
    let mut body = Vec::with_capacity(HEAD + message.len());
    body.push(u8::from(packing != Packing::Nothing));
    body.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(&message);
    body
}

/// Reads an answer, at most so many bytes of its message. `None` if it does not say how the call ended.
pub(crate) async fn outcome(response: reqwest::Response, longest: usize) -> Option<Outcome> {
    let response: http::Response<reqwest::Body> = response.into();
    let (head, mut body) = response.into_parts();
    let (mut data, mut told) = (Vec::new(), head.headers);
    while data.len() < longest
        && let Some(frame) = body.frame().await
    {
        match frame.ok()?.into_data() {
            Ok(piece) => data.extend_from_slice(&piece),
            Err(frame) => told.extend(frame.into_trailers().ok()?),
        }
    }
    let text = |name: &str| told.get(name).map(HeaderValue::as_bytes).unwrap_or_default();
    let code = std::str::from_utf8(text("grpc-status")).ok()?.parse().ok()?;
    let words = flb_plugin::log::excerpt(&unescaped(text("grpc-message")));
    Some(Outcome { code, words, message: message(&data).unwrap_or_default().to_vec() })
}

/// The message of an answer that is not compressed.
fn message(data: &[u8]) -> Option<&[u8]> {
    let (head, rest) = data.split_first_chunk::<HEAD>()?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    (head[0] == 0).then(|| rest.get(..length as usize))?
}

/// A text in which `%41` stands for a byte.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text);
    while let Some((first, behind)) = rest.split_first() {
        let escaped = behind.get(..2).filter(|_| *first == b'%').and_then(super::hex::bytes);
        match escaped {
            Some(byte) => {
                out.extend_from_slice(&byte);
                rest = &behind[2..];
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}

/// Whether the message is at fault. Any other refusal is for the server, or whoever configured it, to mend.
pub fn is_final(code: u32) -> bool {
    const INVALID_ARGUMENT: u32 = 3;
    code == INVALID_ARGUMENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_its_length_before_it() {
        assert_eq!(framed(b"abc".to_vec(), Packing::Nothing), b"\0\0\0\0\x03abc");
        let packed = framed(vec![b'a'; 1000], Packing::Gzip);
        assert_eq!((packed[0], packed.len() - HEAD), (1, usize::from(packed[4])));
        assert_eq!(message(b"\0\0\0\0\x02abc"), Some(&b"ab"[..]));
        for broken in [&b"\0\0\0\0\x09abc"[..], b"\x01\0\0\0\x01a", b"\0\0", b""] {
            assert_eq!(message(broken), None);
        }
    }

    #[test]
    fn a_server_s_words_are_unescaped() {
        assert_eq!(unescaped(b"no%20room%"), b"no room%");
        assert_eq!(unescaped(b"%zz%c3%a9"), b"%zz\xc3\xa9");
    }
}
