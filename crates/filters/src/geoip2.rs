//! `geoip2`: adds what a MaxMind database knows of an address.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use flb_event::{Chunk, msgpack};
use flb_guest::host;
use flb_plugin::keys::{Key, Many, Required, Text, Words};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec, Table, keys};
use maxminddb::{PathElement, Reader};
use serde::de::{Deserialize, Deserializer, Error, Visitor};

use super::each::{Decision, each};
use crate::fields::{Field, Fields};

keys! {
    const KEYS;
    DATABASE: Required<Text> = Key::new("database", "The file of the database (.mmdb)")
        .required("no geoip2 database has been loaded", "add Database GeoLite2-City.mmdb");
    LOOKUP_KEY: Many<Text> = Key::new("lookup_key", "A key whose value is an address").repeated();
    RECORD: Many<Words> = Key::new(
        "record",
        "KEY LOOKUP_KEY %{country.iso_code}: a key to add, and where in the database its value is",
    )
    .repeated();
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "geoip2",
    about: "Add what a MaxMind database knows of an address",
    options: Table(&[KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let (keys, given) = (options.get(LOOKUP_KEY), options.get(RECORD));
    let records = given.iter().map(|words| record(words, &keys));
    let records = records.collect::<Result<Vec<_>, _>>()?;
    if records.is_empty() {
        return Err(BuildError::new("at least one record is required")
            .help("add Record country host %{country.names.en}"));
    }
    let (bytes, path) = host::read(options.get(DATABASE)?, build.service);
    let refused = |reason: &dyn fmt::Display| {
        let path = path.display();
        BuildError::new(format!("Cannot open geoip2 database: {path}: {reason}"))
            .help("give the path of a .mmdb file, as of GeoIP2 or GeoLite2")
    };
    let database = Reader::from_source(bytes.map_err(|error| refused(&error))?)
        .map_err(|error| refused(&error))?;
    let (label, unread) = (Label::filter("geoip2", build), Mishaps::default());
    Ok(Box::new(GeoIp2(Arc::new(Shared { records, database, label, unread }))))
}

fn record(words: &[String], keys: &[&str]) -> Result<Record, BuildError> {
    let wrong = |message: String| {
        BuildError::new(format!("invalid record parameter: '{}': {message}", words.join(" ")))
            .help("write Record country host %{country.names.en}, and Lookup_Key host")
    };
    let [key, lookup_key, value] = words else {
        return Err(wrong("expects 'KEY LOOKUP_KEY VALUE'".to_owned()));
    };
    let path = value.strip_prefix("%{").and_then(|rest| rest.strip_suffix('}'));
    let path = path.ok_or_else(|| wrong(format!("'{value}' is not %{{..}}")))?;
    if !keys.iter().any(|known| known.eq_ignore_ascii_case(lookup_key)) {
        return Err(wrong(format!("'{lookup_key}' is no lookup_key")));
    }
    let path = path.split('.').map(Step::read).collect();
    Ok(Record { key: key.clone(), lookup_key: lookup_key.clone(), path })
}

/// A key to add.
struct Record {
    key: String,
    lookup_key: String,
    path: Vec<Step>,
}

/// A step of the way to a value.
enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn read(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Key(text.to_owned()), Self::Index)
    }
}

#[derive(Clone)]
struct GeoIp2(Arc<Shared>);

struct Shared {
    records: Vec<Record>,
    database: Reader<Vec<u8>>,
    label: Label,
    /// Times that the database could not be read.
    unread: Mishaps,
}

impl Filter for GeoIp2 {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        each(batch, outlet, |event, body| {
            let mut fields = Fields::read(event.body);
            for record in &self.0.records {
                let value = self.0.value(&fields, record).unwrap_or_else(|| vec![0xc0]);
                let new = Field::of(record.key.as_bytes(), value);
                match fields.0.iter_mut().find(|field| field.is(&record.key)) {
                    Some(field) => *field = new,
                    None => fields.0.push(new),
                }
            }
            fields.write(body);
            Decision::Replace
        });
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(self.clone()))
    }
}

impl Shared {
    /// What the database says, encoded as msgpack.
    fn value(&self, fields: &Fields<'_>, record: &Record) -> Option<Vec<u8>> {
        let is_it = |field: &&Field<'_>| {
            field.key().is_some_and(|key| key.eq_ignore_ascii_case(record.lookup_key.as_bytes()))
        };
        let address = msgpack::as_str(fields.0.iter().find(is_it)?.value())?;
        let address: IpAddr = std::str::from_utf8(address).ok()?.trim().parse().ok()?;
        let path: Vec<PathElement<'_>> = record
            .path
            .iter()
            .map(|step| match step {
                Step::Key(key) => PathElement::Key(key),
                Step::Index(index) => PathElement::Index(*index),
            })
            .collect();
        let found =
            self.database.lookup(address).and_then(|found| found.decode_path::<Packed>(&path));
        match found {
            Ok(value) => value.map(|Packed(value)| value),
            Err(error) => {
                if let Some(total) = self.unread.another() {
                    let (label, key) = (&self.label, &record.key);
                    tracing::warn!("{label} no value for '{key}': {error} ({total} so far)");
                }
                None
            }
        }
    }
}

/// One value of the database, as msgpack.
struct Packed(Vec<u8>);

impl<'de> Deserialize<'de> for Packed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Packing)
    }
}

struct Packing;

fn packed<E>(write: impl FnOnce(&mut Vec<u8>)) -> Result<Packed, E> {
    let mut out = Vec::new();
    write(&mut out);
    Ok(Packed(out))
}

impl Visitor<'_> for Packing {
    type Value = Packed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a number or a switch")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Packed, E> {
        packed(|out| msgpack::write_bool(out, value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Packed, E> {
        packed(|out| msgpack::write_int(out, value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Packed, E> {
        packed(|out| msgpack::write_uint(out, value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Packed, E> {
        packed(|out| msgpack::write_float(out, value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Packed, E> {
        packed(|out| msgpack::write_str(out, value))
    }

    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<Packed, E> {
        packed(|out| msgpack::write_str(out, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    /// MaxMind's own, for tests of readers.
    const CITIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/geoip2/GeoIP2-City-Test.mmdb");

    #[track_caller]
    fn check(records: &[&str], record: &str, expected: &str) {
        let given = [("database", CITIES), ("lookup_key", "ip")];
        let records = records.iter().map(|record| ("record", *record));
        let options: Vec<_> = given.into_iter().chain(records).collect();
        assert_eq!(testing::filtered(&SPEC, &options, &[record]), expected);
    }

    #[test]
    fn values_of_each_type_are_added() {
        check(
            &[
                "country ip %{country.iso_code}",
                "name ip %{country.names.de}",
                "id ip %{country.geoname_id}",
                "eu ip %{country.is_in_european_union}",
                "lat ip %{location.latitude}",
                "county ip %{subdivisions.0.iso_code}",
            ],
            r#"{"a":1,"ip":"89.160.20.130"}"#,
            r#"{"a":1,"ip":"89.160.20.130","country":"SE","name":"Schweden","id":2661886,"eu":true,"lat":58.4167,"county":"E"}"#,
        );
        check(
            &["c ip %{country.names.en}"],
            r#"{"IP":"2001:218::1"}"#,
            r#"{"IP":"2001:218::1","c":"Japan"}"#,
        );
    }

    #[test]
    fn what_is_not_known_is_null() {
        for address in [r#""127.0.0.1""#, r#""no address""#, "7", "null"] {
            let record = format!(r#"{{"ip":{address}}}"#);
            let expected = format!(r#"{{"ip":{address},"c":null}}"#);
            check(&["c ip %{country.iso_code}"], &record, &expected);
        }
        check(&["c ip %{country.iso_code}"], r#"{"a":1}"#, r#"{"a":1,"c":null}"#);
        for path in ["no.such.key", "country", "country.iso_code.more", "subdivisions.9.iso_code"] {
            let record = r#"{"ip":"89.160.20.130"}"#;
            let expected = r#"{"ip":"89.160.20.130","c":null}"#;
            check(&[&format!("c ip %{{{path}}}")], record, expected);
        }
    }

    #[test]
    fn a_key_that_is_there_gives_way_in_its_place() {
        check(
            &["c ip %{country.iso_code}"],
            r#"{"c":"old","ip":"89.160.20.130"}"#,
            r#"{"c":"SE","ip":"89.160.20.130"}"#,
        );
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let refused = |given: &[(&str, &str)]| {
            let given: Vec<_> = [("lookup_key", "ip")].iter().chain(given).copied().collect();
            testing::build(&SPEC, &given).err().unwrap().message
        };
        let record = ("record", "c ip %{country.iso_code}");
        assert_eq!(refused(&[record]), "no geoip2 database has been loaded");
        assert_eq!(refused(&[("database", CITIES)]), "at least one record is required");
        for (text, message) in [
            ("c ip", "expects 'KEY LOOKUP_KEY VALUE'"),
            ("c ip country", "'country' is not %{..}"),
            ("c host %{country}", "'host' is no lookup_key"),
        ] {
            let expected = format!("invalid record parameter: '{text}': {message}");
            assert_eq!(refused(&[("database", CITIES), ("record", text)]), expected);
        }
        for file in ["/no/such.mmdb", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")] {
            let message = refused(&[("database", file), record]);
            assert!(
                message.starts_with(&format!("Cannot open geoip2 database: {file}: ")),
                "{message}"
            );
        }
    }
}
