//! What must hold for any bytes that a server or a file may give.

use super::credentials::{Credentials, is_shown};
use super::ini::entries_of;
use super::refusal::Refusal;
use super::xml::{element, elements};

/// Takes `data` for an answer of every kind, and for a file of profiles.
pub(crate) fn check(data: &[u8]) {
    for credentials in [Credentials::of_json(data), Credentials::of_xml(data)] {
        let Ok(Credentials { key_id, secret, token, .. }) = credentials else { continue };
        assert!(!key_id.is_empty() && !secret.is_empty());
        assert!([Some(key_id), Some(secret), token].iter().flatten().all(|text| is_shown(text)));
    }
    let refusal = Refusal::of(400, data).to_string();
    assert!(refusal.len() < 1000 && !refusal.contains(|letter: char| letter.is_control()));
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert!(elements(text, "a").all(|inside| !inside.contains("</a>")));
    assert!(element(text, "a").is_none_or(|found| found.len() <= text.len()));
    for (key, value) in entries_of(text, "default", true) {
        assert!(!key.contains('=') && !value.contains('\n'));
    }
}
