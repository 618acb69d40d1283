//! Which topic a record goes to.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use flb_event::Accessor;
use flb_plugin::keys::{Bool, Key, List, Text};
use flb_plugin::log::{Label, Mishaps, excerpt};
use flb_plugin::{BuildError, Options, keys};

use crate::accessors::path_or_name;

keys! {
    pub(super) const KEYS;
    TOPICS: List = Key::new("topics", "Topics; the first is for all that says no other").default("fluent-bit");
    TOPIC_KEY: Option<Text> = Key::new("topic_key", "Key of a record that says its topic");
    DYNAMIC_TOPIC: Bool =
        Key::new("dynamic_topic", "Take what topic_key says also where topics does not have it").default("off");
}

/// Most topics that records may bring up: each costs memory here and a place at the brokers.
const MOST: usize = 1000;
/// The longest name that brokers take.
const LONGEST: usize = 249;

/// The topics, and how a record says which.
#[derive(Debug)]
pub(super) struct Topics {
    known: Vec<String>,
    key: Option<Accessor>,
    /// Those that records have brought up, if they may.
    dynamic: Option<Mutex<BTreeSet<String>>>,
    label: Label,
    refused: Mishaps,
}

impl Topics {
    pub(super) fn new(options: &Options, label: Label) -> Result<Self, BuildError> {
        let known = options.get(TOPICS);
        let wrong = known.iter().find(|topic| !is_name(topic));
        if let Some(topic) = wrong {
            let message = format!("topics: '{topic}' is no name of a topic");
            return Err(BuildError::new(message).help(RULE));
        }
        if known.is_empty() {
            return Err(BuildError::new("topics has none in it").help("write: Topics logs"));
        }
        let key = options.get(TOPIC_KEY).map(|text| path_or_name(TOPIC_KEY.name(), text));
        let dynamic = options.get(DYNAMIC_TOPIC).then(Mutex::default);
        Ok(Self { known, key: key.transpose()?, dynamic, label, refused: Mishaps::default() })
    }

    /// The topic of a record with this body.
    pub(super) fn of<'a>(&'a self, body: &'a [u8]) -> &'a str {
        let said = self.key.as_ref().and_then(|key| key.find_str(body));
        let said = said.and_then(|text| std::str::from_utf8(text).ok());
        said.and_then(|name| self.find(name)).unwrap_or(&self.known[0])
    }

    fn find<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        if self.known.iter().any(|known| known == name) {
            return Some(name);
        }
        let brought = self.dynamic.as_ref()?;
        let mut brought = brought.lock().unwrap_or_else(PoisonError::into_inner);
        if brought.contains(name) {
            return Some(name);
        }
        if !is_name(name) || brought.len() == MOST {
            self.refuse(name, if is_name(name) { MANY } else { RULE });
            return None;
        }
        tracing::info!("{} new topic {name}", self.label);
        brought.insert(name.to_owned());
        Some(name)
    }

    fn refuse(&self, name: &str, why: &str) {
        if let Some(total) = self.refused.another() {
            let (label, name, topic) = (&self.label, excerpt(name.as_bytes()), &self.known[0]);
            tracing::warn!(
                "{label} topic '{name}' of a record is not used, {topic} is: {why} ({total} times so far)"
            );
        }
    }
}

const RULE: &str = "a name has letters, digits, '.', '_' and '-', 249 of them at most";
const MANY: &str = "records have brought up 1000 topics; name others in topics";

/// Whether brokers take it as a topic's name.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=LONGEST).contains(&name.len())
        && ![".", ".."].contains(&name)
        && name.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use flb_harness::{msgpack, options};
    use flb_plugin::Table;

    use super::*;

    fn topics(given: &[(&str, &str)]) -> Result<Topics, BuildError> {
        Topics::new(&options(Table(&[KEYS]), given), Label::named("[x]".to_owned()))
    }

    #[test]
    fn a_record_says_which_topic_if_that_is_known() {
        let two = [("topics", "a, b"), ("topic_key", "t")];
        let dynamic = [("topics", "a"), ("topic_key", "$k['t']"), ("dynamic_topic", "on")];
        for (given, body, topic) in [
            (&[][..], r#"{"t":"b"}"#, "fluent-bit"),
            (&two, r#"{"t":"b"}"#, "b"),
            (&two, r#"{"t":"c"}"#, "a"),
            (&two, r#"{"t":1}"#, "a"),
            (&dynamic, r#"{"k":{"t":"c-1"}}"#, "c-1"),
            (&dynamic, r#"{"k":{"t":"c 1"}}"#, "a"),
            (&dynamic, r#"{"k":{"t":".."}}"#, "a"),
            (&dynamic, "{}", "a"),
        ] {
            assert_eq!(topics(given).unwrap().of(&msgpack(body)), topic, "{given:?} {body}");
        }
    }

    #[test]
    fn records_bring_up_so_many_topics_and_no_more() {
        let topics = topics(&[("topic_key", "t"), ("dynamic_topic", "on")]).unwrap();
        let of = |n: usize| {
            let body = msgpack(&format!(r#"{{"t":"t{n}"}}"#));
            topics.of(&body).to_owned()
        };
        assert!((0..MOST).all(|n| of(n) == format!("t{n}")));
        assert_eq!((of(MOST), of(7)), ("fluent-bit".to_owned(), "t7".to_owned()));
    }

    #[test]
    fn topics_are_names() {
        for given in ["a,b c", "ä", "a:0-3", ","] {
            let error = topics(&[("topics", given)]).err().unwrap();
            assert!(error.message.starts_with("topics") && error.help.is_some(), "{error:?}");
        }
    }
}
