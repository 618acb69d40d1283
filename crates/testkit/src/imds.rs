//! A strict stand-in for the metadata service of EC2, which is nowhere but there: both versions of its protocol.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::stub::{Reply, Request, Stub};

/// An instance.
#[derive(Clone, Default)]
pub struct Instance {
    /// What it is, by paths.
    facts: Arc<Mutex<BTreeMap<String, String>>>,
    /// The tokens that were made, of which the last one is good.
    tokens: Arc<Mutex<usize>>,
    needs_token: bool,
}

impl Instance {
    /// An instance that tells these facts, by paths; to whoever shows a token, or to all.
    pub fn new(needs_token: bool, facts: &[(&str, &str)]) -> Self {
        let facts = facts.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned()));
        Self { facts: Arc::new(Mutex::new(facts.collect())), needs_token, ..Self::default() }
    }

    /// The token that was made last is good no longer.
    pub fn forget_token(&self) {
        *self.tokens.lock().unwrap() += 1;
    }

    /// It tells this, too.
    pub fn put(&self, path: &str, text: &str) {
        self.facts.lock().unwrap().insert(path.to_owned(), text.to_owned());
    }

    /// Its service.
    pub fn serve(&self) -> Stub {
        let instance = self.clone();
        Stub::start(move |request| instance.answer(request))
    }

    fn answer(&self, request: &Request) -> Reply {
        let mut tokens = self.tokens.lock().unwrap();
        if request.header("x-forwarded-for").is_some() {
            return Reply::new(403, "Forbidden");
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("PUT", "/latest/api/token") => {
                let life = request.header("x-aws-ec2-metadata-token-ttl-seconds");
                if !life
                    .and_then(|life| life.parse().ok())
                    .is_some_and(|life: u32| (1..=21600).contains(&life))
                {
                    return Reply::new(400, "Bad Request");
                }
                *tokens += 1;
                Reply::new(200, format!("token-{tokens}"))
            }
            ("GET", path) => {
                let shown = request.header("x-aws-ec2-metadata-token");
                if shown.map_or(self.needs_token, |shown| *shown != *format!("token-{tokens}")) {
                    return Reply::new(401, "Unauthorized");
                }
                match self.facts.lock().unwrap().get(path) {
                    Some(text) => Reply::new(200, text.as_str()).with("Content-Type: text/plain"),
                    None => Reply::new(404, "Not Found"),
                }
            }
            _ => Reply::new(405, "Method Not Allowed"),
        }
    }
}
