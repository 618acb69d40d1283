//! A Splunk that takes what the real one takes: no registry has a server, so this one holds to the rules of its published HTTP Event
//! Collector.

use std::io::Read;
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use flb_testkit::stub::{Reply, Request, Stub};
use serde_json::{Deserializer, Value};

/// The server. Its token is `tok`, and `u` with the password `p` may ask, too.
pub(super) struct Server {
    pub(super) stub: Stub,
    events: Arc<Mutex<Vec<Value>>>,
}

/// What an event may have beside itself.
const KNOWN: [&str; 7] = ["time", "host", "source", "sourcetype", "index", "fields", "event"];

impl Server {
    pub(super) fn start() -> Self {
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let shelf = Arc::clone(&events);
        let stub = Stub::start(move |request| match check(request) {
            Ok(events) => {
                shelf.lock().unwrap().extend(events);
                Reply::new(200, r#"{"text":"Success","code":0}"#)
            }
            Err((status, why)) => Reply::new(status, format!(r#"{{"text":"{why}"}}"#)),
        });
        Self { stub, events }
    }

    /// The events that were taken.
    pub(super) fn events(&self) -> Vec<Value> {
        self.events.lock().unwrap().clone()
    }
}

type Refused = (u16, &'static str);

fn check(request: &Request) -> Result<Vec<Value>, Refused> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    if request.method != "POST" || path != "/services/collector/event" {
        return Err((404, "The requested URL was not found on this server."));
    }
    match request.header("authorization") {
        None => return Err((401, "Token is required")),
        Some("Splunk tok" | "Basic dTpw") => {}
        Some(_) => return Err((403, "Invalid token")),
    }
    let body = unpacked(request).ok_or((400, "Invalid data format"))?;
    let events: Result<Vec<Value>, _> = Deserializer::from_slice(&body).into_iter().collect();
    let events = events.map_err(|_| (400, "Invalid data format"))?;
    if events.is_empty() {
        return Err((400, "No data"));
    }
    let is_timed = query != "auto_extract_timestamp=true";
    events.iter().try_for_each(|event| check_event(event, is_timed))?;
    Ok(events)
}

fn unpacked(request: &Request) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    match request.header("content-encoding") {
        None => return Some(request.body.clone()),
        Some("gzip") => GzDecoder::new(&*request.body).read_to_end(&mut body).ok()?,
        Some(_) => return None,
    };
    Some(body)
}

fn check_event(event: &Value, is_timed: bool) -> Result<(), Refused> {
    let event = event.as_object().ok_or((400, "Invalid data format"))?;
    if event.keys().any(|name| !KNOWN.contains(&name.as_str())) {
        return Err((400, "Invalid data format"));
    }
    match event.get("event") {
        None | Some(Value::Null) => return Err((400, "Event field is required")),
        Some(Value::String(text)) if text.is_empty() => {
            return Err((400, "Event field cannot be blank"));
        }
        Some(_) => {}
    }
    if event.get("time").is_some_and(Value::is_number) != is_timed {
        return Err((400, "Invalid data format"));
    }
    let is_text = |name: &&str| event.get(*name).is_none_or(Value::is_string);
    if !["host", "source", "sourcetype", "index"].iter().all(is_text) {
        return Err((400, "Invalid data format"));
    }
    match event.get("fields") {
        None | Some(Value::Object(_)) => Ok(()),
        Some(_) => Err((400, "Error in handling indexed fields")),
    }
}
