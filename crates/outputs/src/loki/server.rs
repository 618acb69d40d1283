//! A Loki that takes what the real one takes: no registry has a server, so this one holds to the rules of its published push API.

use std::io::Read;
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use flb_testkit::stub::{Reply, Request, Stub};
use serde_json::{Map, Value};

/// The server.
pub(super) struct Server {
    pub(super) stub: Stub,
    pushed: Arc<Mutex<Vec<String>>>,
    refused: Arc<Mutex<Option<String>>>,
}

/// Most labels of a stream, and most bytes of a label's name and value.
const LIMITS: (usize, usize, usize) = (15, 1024, 2048);

impl Server {
    /// A server for one tenant, who has no name, or for many.
    pub(super) fn start(has_tenants: bool) -> Self {
        let pushed: Arc<Mutex<Vec<String>>> = Arc::default();
        let refused: Arc<Mutex<Option<String>>> = Arc::default();
        let (shelf, outcast) = (Arc::clone(&pushed), Arc::clone(&refused));
        let stub = Stub::start(move |request| match check(request, has_tenants) {
            Ok(_) if outcast.lock().unwrap().as_deref().is_some_and(|id| is_of(request, id)) => {
                Reply::new(400, "entry too far behind")
            }
            Ok(entries) => {
                shelf.lock().unwrap().extend(entries);
                Reply::new(204, "")
            }
            Err((status, why)) => Reply::new(status, why),
        });
        Self { stub, pushed, refused }
    }

    /// It refuses all of this tenant from now on.
    pub(super) fn refuse(&self, tenant: &str) {
        *self.refused.lock().unwrap() = Some(tenant.to_owned());
    }

    /// Every entry that was taken: its tenant, its labels, its time, line and metadata.
    pub(super) fn entries(&self) -> Vec<String> {
        self.pushed.lock().unwrap().clone()
    }
}

fn is_of(request: &Request, tenant: &str) -> bool {
    request.header("x-scope-orgid") == Some(tenant)
}

type Refused = (u16, String);

fn check(request: &Request, has_tenants: bool) -> Result<Vec<String>, Refused> {
    let bad = |why: &str| (400, why.to_owned());
    match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/loki/api/v1/push") => {}
        ("POST", _) => return Err((404, "404 page not found".to_owned())),
        _ => return Err((405, "method not allowed".to_owned())),
    }
    if request.header("content-type") != Some("application/json") {
        return Err(bad("the body is neither JSON nor a protocol buffer"));
    }
    let tenant = match request.header("x-scope-orgid") {
        None if has_tenants => return Err((401, "no org id".to_owned())),
        Some(id) if !is_tenant(id) => return Err(bad("the tenant has characters that none has")),
        tenant => tenant.unwrap_or("-").to_owned(),
    };
    entries(&tenant, &unpacked(request)?).map_err(|why| (400, why))
}

fn is_tenant(id: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
    (1..=150).contains(&id.len()) && id.bytes().all(is_allowed)
}

fn unpacked(request: &Request) -> Result<Vec<u8>, Refused> {
    let mut body = Vec::new();
    match request.header("content-encoding") {
        None => return Ok(request.body.clone()),
        Some("gzip") => GzDecoder::new(&*request.body).read_to_end(&mut body),
        Some(other) => return Err((400, format!("Content-Encoding {other} is not supported"))),
    }
    .map_err(|error| (400, error.to_string()))?;
    Ok(body)
}

/// The entries of a body, each as one text.
pub(super) fn entries(tenant: &str, body: &[u8]) -> Result<Vec<String>, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let [streams] = members(&body, ["streams"])?;
    let mut entries = Vec::new();
    for stream in list(streams)? {
        let [labels, values] = members(stream, ["stream", "values"])?;
        let shown = Value::from(check_labels(labels)?.clone());
        if list(values)?.is_empty() {
            return Err("a stream without entries".to_owned());
        }
        let mut before = 0;
        for value in list(values)? {
            let time = check_entry(value)?;
            if time < before {
                return Err(format!("entry out of order: {time} behind {before}"));
            }
            before = time;
            entries.push(format!("{tenant} {shown} {value}"));
        }
    }
    Ok(entries)
}

fn check_labels(labels: &Value) -> Result<&Map<String, Value>, String> {
    let labels = labels.as_object().ok_or("labels are no object")?;
    let (most, longest_name, longest_value) = LIMITS;
    if labels.is_empty() || labels.len() > most {
        return Err(format!("a stream has 1 to {most} labels"));
    }
    for (name, value) in labels {
        let value = value.as_str().ok_or("the value of a label is no string")?;
        if !is_name(name) || name.len() > longest_name || value.len() > longest_value {
            return Err(format!("label {name}: name or value is not allowed"));
        }
    }
    Ok(labels)
}

/// An entry's time.
fn check_entry(entry: &Value) -> Result<u64, String> {
    let (time, line, metadata) = match list(entry)?.as_slice() {
        [time, line] => (time, line, None),
        [time, line, metadata] => (time, line, Some(metadata)),
        _ => return Err("an entry is a time, a line and metadata".to_owned()),
    };
    if !line.is_string() {
        return Err("a line is no string".to_owned());
    }
    if let Some(metadata) = metadata {
        let metadata = metadata.as_object().ok_or("metadata is no object")?;
        if metadata.iter().any(|(name, value)| !is_name(name) || !value.is_string()) {
            return Err("metadata is a name and a string".to_owned());
        }
    }
    let time = time.as_str().filter(|time| time.bytes().all(|byte| byte.is_ascii_digit()));
    time.and_then(|time| time.parse().ok()).ok_or_else(|| "a time is no nanoseconds".to_owned())
}

fn is_name(name: &str) -> bool {
    let is_start = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.as_bytes().first().is_some_and(is_start) && name.bytes().all(is_allowed)
}

/// The members of an object that has these and no others.
fn members<'a, const N: usize>(
    value: &'a Value,
    names: [&str; N],
) -> Result<[&'a Value; N], String> {
    let object = value.as_object().filter(|object| object.len() == N);
    let object = object.ok_or_else(|| format!("no object of {names:?}: {value}"))?;
    let found = names.map(|name| object.get(name));
    if found.contains(&None) {
        return Err(format!("no object of {names:?}: {value}"));
    }
    Ok(found.map(Option::unwrap))
}

fn list(value: &Value) -> Result<&Vec<Value>, String> {
    value.as_array().ok_or_else(|| format!("no list: {value}"))
}
