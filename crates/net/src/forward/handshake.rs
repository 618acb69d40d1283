//! The Forward protocol's handshake: both ends prove that they know a shared key, and a client may say who it is. The same
//! messages serve the input and the output.

use flb_event::msgpack::{self, Reader, Value};
use sha2::{Digest, Sha512};

use crate::hex;

/// What a server says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helo {
    /// What the proofs of both ends are made with.
    pub nonce: Vec<u8>,
    /// What a password's proof is made with; empty when no user is asked for.
    pub auth: Vec<u8>,
}

/// A client's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The client's name.
    pub hostname: Vec<u8>,
    /// Random bytes that its proof is made with.
    pub salt: Vec<u8>,
    /// That it knows the shared key.
    pub digest: Vec<u8>,
    /// Who wants to send, if users are asked for.
    pub user: Vec<u8>,
    /// That it knows the user's password.
    pub password: Vec<u8>,
}

/// A server's answer, with its own proof if it agrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pong {
    /// Whether the client may send.
    pub accepted: bool,
    /// Why it may not.
    pub reason: Vec<u8>,
    /// The server's name.
    pub hostname: Vec<u8>,
    /// That it knows the shared key, too.
    pub digest: Vec<u8>,
}

/// Salt and nonce of a connection.
pub fn random() -> Result<[u8; 16], getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// The digest of some texts one behind the other, in hexadecimal.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Sha512::new();
    for part in parts {
        hash.update(part);
    }
    hex::digits(&hash.finalize())
}

/// Whether two proofs are equal, in a time that does not tell how much of them is.
pub fn is_equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

/// An array of a name and texts.
fn texts<'a>(data: &'a [u8], name: &str, count: u32) -> Option<Vec<&'a [u8]>> {
    let mut reader = Reader::new(data);
    let Value::Array(length) = reader.next().ok()? else { return None };
    if length != count || text(&mut reader)? != name.as_bytes() {
        return None;
    }
    (1..count).map(|_| text(&mut reader)).collect()
}

fn text<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    match reader.next().ok()? {
        Value::Str(text) | Value::Bin(text) => Some(text),
        _ => None,
    }
}

impl Helo {
    /// The message as it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        msgpack::write_array_header(&mut out, 2);
        msgpack::write_str(&mut out, "HELO");
        msgpack::write_map_header(&mut out, 3);
        msgpack::write_str(&mut out, "nonce");
        msgpack::write_bin(&mut out, &self.nonce);
        msgpack::write_str(&mut out, "auth");
        msgpack::write_bin(&mut out, &self.auth);
        msgpack::write_str(&mut out, "keepalive");
        msgpack::write_bool(&mut out, true);
        out
    }

    /// A message of this kind, as it was received.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let Value::Array(2) = reader.next().ok()? else { return None };
        if text(&mut reader)? != b"HELO" {
            return None;
        }
        let mut helo = Self { nonce: Vec::new(), auth: Vec::new() };
        let Value::Map(count) = reader.next().ok()? else { return None };
        for _ in 0..count {
            let (key, value) = (reader.skip().ok()?, reader.skip().ok()?);
            match msgpack::as_str(key) {
                Some(b"nonce") => helo.nonce = text(&mut Reader::new(value))?.to_vec(),
                Some(b"auth") => helo.auth = text(&mut Reader::new(value))?.to_vec(),
                _ => {}
            }
        }
        Some(helo)
    }
}

impl Ping {
    /// The proof of a client that calls itself `hostname`.
    pub fn new(
        helo: &Helo,
        hostname: &str,
        key: &str,
        (user, password): (&str, &str),
        salt: [u8; 16],
    ) -> Self {
        let proves_user = !helo.auth.is_empty();
        let password = digest(&[&helo.auth, user.as_bytes(), password.as_bytes()]);
        Self {
            digest: proof(&salt, hostname.as_bytes(), &helo.nonce, key).into_bytes(),
            hostname: hostname.as_bytes().to_vec(),
            salt: salt.to_vec(),
            user: if proves_user { user.as_bytes().to_vec() } else { Vec::new() },
            password: if proves_user { password.into_bytes() } else { Vec::new() },
        }
    }

    /// Whether the client knows the key.
    pub fn knows(&self, helo: &Helo, key: &str) -> bool {
        let proof = proof(&self.salt, &self.hostname, &helo.nonce, key);
        is_equal(proof.as_bytes(), &self.digest)
    }

    /// Whether the client knows the user's password.
    pub fn is_user(&self, helo: &Helo, (user, password): (&str, &str)) -> bool {
        let proof = digest(&[&helo.auth, user.as_bytes(), password.as_bytes()]);
        is_equal(user.as_bytes(), &self.user) && is_equal(proof.as_bytes(), &self.password)
    }

    /// The message as it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        msgpack::write_array_header(&mut out, 6);
        msgpack::write_str(&mut out, "PING");
        msgpack::write_str(&mut out, &self.hostname);
        msgpack::write_bin(&mut out, &self.salt);
        for text in [&self.digest, &self.user, &self.password] {
            msgpack::write_str(&mut out, text);
        }
        out
    }

    /// A message of this kind, as it was received.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let all = texts(data, "PING", 6)?;
        let [hostname, salt, digest, user, password] = all[..] else { return None };
        Some(Self {
            hostname: hostname.to_vec(),
            salt: salt.to_vec(),
            digest: digest.to_vec(),
            user: user.to_vec(),
            password: password.to_vec(),
        })
    }
}

impl Pong {
    /// The answer to a client: with a proof, or with a reason why not.
    pub fn new(
        helo: &Helo,
        ping: &Ping,
        hostname: &str,
        key: &str,
        checked: Result<(), &'static str>,
    ) -> Self {
        let accepted = checked.is_ok();
        let proof = proof(&ping.salt, hostname.as_bytes(), &helo.nonce, key);
        Self {
            accepted,
            reason: checked.err().unwrap_or_default().as_bytes().to_vec(),
            hostname: hostname.as_bytes().to_vec(),
            digest: if accepted { proof.into_bytes() } else { Vec::new() },
        }
    }

    /// Whether the server knows the key.
    pub fn knows(&self, helo: &Helo, ping: &Ping, key: &str) -> bool {
        let proof = proof(&ping.salt, &self.hostname, &helo.nonce, key);
        is_equal(proof.as_bytes(), &self.digest)
    }

    /// The message as it is sent.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        msgpack::write_array_header(&mut out, 5);
        msgpack::write_str(&mut out, "PONG");
        msgpack::write_bool(&mut out, self.accepted);
        for text in [&self.reason, &self.hostname, &self.digest] {
            msgpack::write_str(&mut out, text);
        }
        out
    }

    /// A message of this kind, as it was received.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let Value::Array(5) = reader.next().ok()? else { return None };
        if text(&mut reader)? != b"PONG" {
            return None;
        }
        let Value::Bool(accepted) = reader.next().ok()? else { return None };
        Some(Self {
            accepted,
            reason: text(&mut reader)?.to_vec(),
            hostname: text(&mut reader)?.to_vec(),
            digest: text(&mut reader)?.to_vec(),
        })
    }
}

/// What somebody who knows the key can make.
fn proof(salt: &[u8], hostname: &[u8], nonce: &[u8], key: &str) -> String {
    digest(&[salt, hostname, nonce, key.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_prove_that_they_know_the_key() {
        let helo = Helo { nonce: b"nonce".to_vec(), auth: b"auth".to_vec() };
        assert_eq!(Helo::decode(&helo.encode()), Some(helo.clone()));
        let ping = Ping::new(&helo, "client", "key", ("me", "secret"), [7; 16]);
        assert_eq!(Ping::decode(&ping.encode()), Some(ping.clone()));
        assert!(ping.knows(&helo, "key") && !ping.knows(&helo, "other"));
        assert!(ping.is_user(&helo, ("me", "secret")));
        assert!(!ping.is_user(&helo, ("me", "other")) && !ping.is_user(&helo, ("you", "secret")));
        let pong = Pong::new(&helo, &ping, "server", "key", Ok(()));
        assert_eq!(Pong::decode(&pong.encode()), Some(pong.clone()));
        assert!(pong.knows(&helo, &ping, "key") && !pong.knows(&helo, &ping, "other"));
        let refused = Pong::new(&helo, &ping, "server", "key", Err("no"));
        assert!(!refused.accepted && !refused.knows(&helo, &ping, "key"));
    }

    #[test]
    fn the_digest_is_sha512_in_hexadecimal() {
        let abc = digest(&[b"a", b"bc"]);
        assert!(abc.starts_with("ddaf35a193617abacc417349ae204131"), "{abc}");
    }

    #[test]
    fn other_messages_are_no_handshake() {
        for data in [&b"\x92\xa4PING\x80"[..], b"\x90", b"", b"\x92\xa4HELO\x01", b"\xc1"] {
            assert!(Helo::decode(data).is_none());
            assert!(Ping::decode(data).is_none());
            assert!(Pong::decode(data).is_none());
        }
    }
}
