//! `rewrite_tag`: gives records another tag, by regular expressions on their values.

use std::collections::BTreeMap;
use std::sync::Arc;

use flb_event::{Accessor, AccessorError, Chunk, ChunkBuilder, Event, Scene, Tag, Template};
use flb_plugin::keys::{Fields, Key, Many, Text};
use flb_plugin::{Build, BuildError, Filter, Groups, Options, Outlet, Regex, Spec, Table, keys};

use super::each::{Decision, each};
use flb_plugin::log::{Label, Mishaps};

keys! {
    const KEYS;
    RULE: Many<Fields<4>> = Key::new(
        "rule",
        "$KEY REGEX NEW_TAG KEEP: records whose value matches get the new tag",
    )
    .repeated();
    EMITTER_NAME: Option<Text> =
        Key::new("emitter_name", "").idle("what is emitted goes on at once");
    EMITTER_STORAGE_TYPE: Option<Text> =
        Key::new("emitter_storage.type", "").idle("what is emitted goes on at once");
    EMITTER_MEM_BUF_LIMIT: Option<Text> =
        Key::new("emitter_mem_buf_limit", "").idle("what is emitted goes on at once");
}

pub(super) const SPEC: Spec<dyn Filter> =
    Spec { name: "rewrite_tag", about: "Give records another tag", options: Table(&[KEYS]), build };

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let mut rules: Vec<Rule> =
        options.get(RULE).iter().map(|words| rule(words)).collect::<Result<_, _>>()?;
    if rules.is_empty() {
        return Err(BuildError::new("no rules have been defined").help(EXAMPLE));
    }
    for at in 1..rules.len() {
        rules[at].shares_key = rules[at].key == rules[at - 1].key;
    }
    Ok(Box::new(RewriteTag {
        shared: Arc::new(Common {
            rules,
            label: Label::filter("rewrite_tag", build),
            refused: Mishaps::default(),
        }),
    }))
}

const EXAMPLE: &str = "for example: Rule $app ^(web|api)$ $app.$TAG false";

fn rule(words: &[String]) -> Result<Rule, BuildError> {
    let [key, pattern, tag, keep] = words else {
        return Err(BuildError::new(format!(
            "invalid rule '{}': a key, a pattern, a tag and true or false are expected",
            words.join(" ")
        ))
        .help(EXAMPLE));
    };
    let invalid = |what: &str, error: AccessorError| {
        BuildError::new(format!("invalid {what} of a rule: {error}")).help(error.hint())
    };
    let keeps = match keep.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" => true,
        "false" | "off" | "no" => false,
        _ => {
            return Err(BuildError::new(format!(
                "invalid rule: '{keep}' is neither true nor false"
            ))
            .help("the last word says whether the record also stays under its old tag"));
        }
    };
    // Without a `$` it is a key of the record itself, as it stands.
    let key = match key.starts_with('$') {
        true => Accessor::parse(key).map_err(|error| invalid("key", error))?,
        false => Accessor::of_key(key),
    };
    Ok(Rule {
        key,
        pattern: Regex::new(pattern).map_err(|error| BuildError::new(error.to_string()))?,
        tag: Template::parse(tag).map_err(|error| invalid("tag", error))?,
        keeps,
        shares_key: false,
    })
}

#[derive(Debug)]
struct Rule {
    key: Accessor,
    /// It is the key of the rule before, so its value is known.
    shares_key: bool,
    pattern: Regex,
    tag: Template,
    /// The record also stays.
    keeps: bool,
}

struct Common {
    rules: Vec<Rule>,
    label: Label,
    /// Tags that cannot be.
    refused: Mishaps,
}

struct RewriteTag {
    shared: Arc<Common>,
}

impl Filter for RewriteTag {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let tag = batch.tag().clone();
        let shared = &self.shared;
        let mut emitted: BTreeMap<Tag, ChunkBuilder> = BTreeMap::new();
        each(batch, outlet, |event, _| {
            let Some((rule, new)) = shared.new_tag(&tag, event) else { return Decision::Keep };
            let builder = emitted.entry(new.clone()).or_insert_with(|| ChunkBuilder::new(new));
            match builder.push(*event) {
                Ok(()) if !rule.keeps => Decision::Drop,
                _ => Decision::Keep,
            }
        });
        emitted.into_values().for_each(|builder| outlet.emit(builder.build()));
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self { shared: Arc::clone(&self.shared) }))
    }
}

impl Common {
    /// The first rule that matches, and the tag that it gives. A tag that cannot be leaves the record as it is.
    fn new_tag(&self, tag: &Tag, event: &Event<'_>) -> Option<(&Rule, Tag)> {
        let mut text = None;
        let (rule, groups) = self.rules.iter().find_map(|rule| {
            if !rule.shares_key {
                text = rule.key.find_str(event.body);
            }
            Some((rule, rule.pattern.find(text?).ok()??))
        })?;
        match self.write_tag(rule, &groups, tag, event) {
            Some(new) => Some((rule, new)),
            None => {
                if let Some(total) = self.refused.another() {
                    tracing::warn!(
                        "{} a record makes no valid tag and keeps its own [{total} so far]",
                        self.label
                    );
                }
                None
            }
        }
    }

    fn write_tag(
        &self,
        rule: &Rule,
        groups: &Groups<'_>,
        tag: &Tag,
        event: &Event<'_>,
    ) -> Option<Tag> {
        let mut text = Vec::new();
        let captures: Vec<Option<&[u8]>> = (0..10).map(|group| groups.get(group)).collect();
        rule.tag.write(&Scene { tag, body: event.body, captures: &captures }, &mut text);
        let text = String::from_utf8(text).ok().filter(|text| !text.is_empty())?;
        Tag::new(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    /// What stays, and what is emitted.
    fn check(rules: &[&str], records: &[&str], stays: &[&str], emitted: &[(&str, &[&str])]) {
        let given: Vec<(&str, &str)> = rules.iter().map(|rule| ("rule", *rule)).collect();
        let mut filter = testing::build(&SPEC, &given).unwrap();
        let records: Vec<(u32, u32, &str)> = records.iter().map(|record| (1, 0, *record)).collect();
        let mut outlet = testing::given(&mut *filter, testing::chunk("app.one", &records));
        assert_eq!(testing::bodies(outlet.passed()), stays, "{rules:?}");
        let chunks: Vec<Chunk> = outlet.take_emitted().collect();
        let shown: Vec<(&str, Vec<String>)> = chunks
            .iter()
            .map(|chunk| (chunk.tag().as_str(), testing::bodies(std::slice::from_ref(chunk))))
            .collect();
        let expected: Vec<(&str, Vec<String>)> = emitted
            .iter()
            .map(|(tag, bodies)| (*tag, bodies.iter().map(|body| (*body).to_owned()).collect()))
            .collect();
        assert_eq!(shown, expected, "{rules:?}");
    }

    const WEB: &str = r#"{"app":"web","level":"error"}"#;
    const API: &str = r#"{"app":"api"}"#;
    const OTHER: &str = r#"{"app":7}"#;

    #[test]
    fn a_record_that_matches_leaves_under_its_new_tag() {
        check(
            &["$app ^web$ new.tag false"],
            &[WEB, API, OTHER],
            &[API, OTHER],
            &[("new.tag", &[WEB])],
        );
    }

    #[test]
    fn a_kept_record_is_in_both_places() {
        check(&["$app ^web$ new true"], &[WEB, API], &[WEB, API], &[("new", &[WEB])]);
    }

    #[test]
    fn a_key_may_stand_without_a_dollar() {
        let dotted = r#"{"app.name":"web"}"#;
        check(
            &["app ^web$ new.$app false", "app.name . dotted false"],
            &[WEB, API, dotted],
            &[API],
            &[("dotted", &[dotted]), ("new.web", &[WEB])],
        );
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        check(
            &["$app ^w a false", "$app . b false"],
            &[API, WEB, API],
            &[],
            &[("a", &[WEB]), ("b", &[API, API])],
        );
    }

    #[test]
    fn a_tag_is_made_of_captures_the_old_tag_and_values() {
        check(
            &["$app ^(w)(.*)$ $TAG[0].$2.$1.$level.$TAG false"],
            &[WEB],
            &[],
            &[("app.eb.w.error.app.one", &[WEB])],
        );
    }

    #[test]
    fn a_record_that_makes_no_tag_stays() {
        check(&["$app . $none false"], &[WEB], &[WEB], &[]);
    }

    #[test]
    fn rules_that_cannot_be_are_refused() {
        let refused = |rule: &str| testing::build(&SPEC, &[("rule", rule)]).err().unwrap().message;
        assert!(refused("$a b c").starts_with("invalid rule '$a b c'"));
        assert!(refused("$a.b b c false").starts_with("invalid key of a rule"));
        assert!(refused("$a ( c false").starts_with("'(' is not a regular expression"));
        assert!(refused("$a b c maybe").contains("'maybe' is neither true nor false"));
        let none = testing::build(&SPEC, &[]).err().unwrap();
        assert_eq!(none.message, "no rules have been defined");
    }
}
