//! Joins the lines of one source by multiline parsers. Knows no clock and no file: lines and times go in, records come out.

use std::sync::Arc;
use std::time::Duration;

use flb_event::{Timestamp, msgpack};
use flb_plugin::{MultilineParser, MultilineParsers, Rule, Service, Whole};

use flb_event::msgpack::map;

/// How many groups are kept for later lines when nothing in them waits: their memory, and the rule that was followed last.
const SPARE_GROUPS: usize = 8;

/// What joins the lines of one source.
pub trait Join: Send + Sync {
    /// Takes one line, which begins at `offset`. What is whole by now goes to `out`.
    fn push(&mut self, line: &[u8], offset: u64, now: Timestamp, out: &mut Out<'_>);

    /// Gives out all that waits.
    fn flush(&mut self, out: &mut Out<'_>);

    /// Gives out what has waited long enough.
    fn flush_due(&mut self, now: Timestamp, out: &mut Out<'_>);

    /// Where the first line begins that waits.
    fn waits_from(&self) -> Option<u64>;

    /// Whether a later line may be taken otherwise than if it were the first one, though nothing waits.
    fn remembers(&self) -> bool {
        false
    }
}

/// What lines have come to.
#[derive(Debug, PartialEq, Eq)]
pub struct Joined<'a> {
    /// What it is.
    pub what: What<'a>,
    /// When its first line came, or what that line says.
    pub time: Timestamp,
    /// Where its first line begins.
    pub offset: u64,
}

/// A record, as far as it goes.
#[derive(Debug, PartialEq, Eq)]
pub enum What<'a> {
    /// Lines of text, or one.
    Text(&'a [u8]),
    /// Parsed lines: a map.
    Body(&'a [u8]),
}

/// Where joined lines go.
pub type Out<'o> = dyn FnMut(Joined<'_>) + 'o;

/// The multiline parsers of a source, and what waits for more lines.
pub struct Joiner {
    parsers: Arc<[Arc<MultilineParser>]>,
    /// The most bytes that are joined. What comes on top begins another record.
    limit: usize,
    /// The parser that took the last line.
    current: Option<usize>,
    /// Lines that wait. Those of several streams may do so side by side.
    groups: Vec<Group>,
    /// The body of a line that is parsed.
    body: Vec<u8>,
    /// The body of lines that were joined.
    joined: Vec<u8>,
}

/// Lines that belong together.
struct Group {
    /// The parser that takes them.
    parser: usize,
    /// The value that they have in common.
    key: Vec<u8>,
    /// The first line's body, if lines are parsed.
    body: Vec<u8>,
    text: Vec<u8>,
    /// No line has come yet.
    is_fresh: bool,
    time: Timestamp,
    offset: u64,
    /// When the last line came.
    since: Timestamp,
    /// The rule that the last line followed. It counts for the next one whatever came between.
    rule: Option<usize>,
}

/// A line, looked at by one parser.
struct Look<'a> {
    /// What is joined.
    content: &'a [u8],
    /// What says whether the record is whole.
    pattern: &'a [u8],
    group: &'a [u8],
    /// What the line was parsed to.
    body: &'a [u8],
    time: Timestamp,
    offset: u64,
    now: Timestamp,
}

impl Joiner {
    /// Tries these parsers, in order, and joins at most `limit` bytes.
    pub fn new(parsers: Arc<[Arc<MultilineParser>]>, limit: usize) -> Self {
        let (groups, body, joined) = (Vec::new(), Vec::new(), Vec::new());
        Self { parsers, limit, current: None, groups, body, joined }
    }
}

impl Join for Joiner {
    fn push(&mut self, line: &[u8], offset: u64, now: Timestamp, out: &mut Out<'_>) {
        if let Some(current) = self.current
            && self.offer(current, line, offset, now, out)
        {
            return;
        }
        for index in 0..self.parsers.len() {
            if self.current != Some(index) && self.offer(index, line, offset, now, out) {
                return;
            }
        }
        self.flush(out);
        // The parser whose turn it is, or would be, says how lines end that no parser wants.
        let parser = self.parsers.get(self.current.unwrap_or_default());
        let is_text = parser.is_none_or(|parser| parser.key_content.is_none());
        if is_text && line.is_empty() {
            return;
        }
        self.body.clear();
        self.body.extend_from_slice(line);
        if is_text {
            end_line(&mut self.body);
        }
        out(Joined { what: What::Text(&self.body), time: now, offset });
    }

    fn flush(&mut self, out: &mut Out<'_>) {
        self.flush_if(out, |_, _| true);
        self.groups.truncate(SPARE_GROUPS);
    }

    fn flush_due(&mut self, now: Timestamp, out: &mut Out<'_>) {
        self.flush_if(out, |group, parser| is_over(group.since, parser.flush_timeout, now));
    }

    fn remembers(&self) -> bool {
        self.groups.iter().any(|group| group.rule.is_some())
    }

    fn waits_from(&self) -> Option<u64> {
        self.groups.iter().filter(|group| !group.is_fresh).map(|group| group.offset).min()
    }
}

impl Joiner {
    /// Has one parser take the line, if it will.
    fn offer(
        &mut self,
        index: usize,
        line: &[u8],
        offset: u64,
        now: Timestamp,
        out: &mut Out<'_>,
    ) -> bool {
        let parser = Arc::clone(&self.parsers[index]);
        let mut body = std::mem::take(&mut self.body);
        let taken = match look(&parser, line, offset, now, &mut body) {
            Some(look) => self.take(index, &parser, &look, out),
            None => false,
        };
        self.body = body;
        taken
    }

    fn take(
        &mut self,
        index: usize,
        parser: &MultilineParser,
        look: &Look<'_>,
        out: &mut Out<'_>,
    ) -> bool {
        let is_it = |group: &Group| group.parser == index && group.key == look.group;
        let rule = self.groups.iter().find(|group| is_it(group)).and_then(|group| group.rule);
        let Some(step) = step(parser, rule, look) else { return false };
        if self.current != Some(index) {
            // Lines of one stream come out in their order; streams of several parsers do not know of each other.
            self.flush_if(out, |_, parser| parser.key_group.is_none());
            self.current = Some(index);
        }
        if !self.groups.iter().any(is_it) {
            if self.groups.len() >= SPARE_GROUPS {
                self.groups.retain(|group| !group.is_fresh);
            }
            self.groups.push(Group::new(index, look));
        }
        let Self { groups, joined, .. } = self;
        let Some(group) = groups.iter_mut().find(|group| is_it(group)) else { return false };
        if step.begins || group.text.len() + look.content.len() > self.limit {
            group.flush(parser, joined, out);
        }
        group.add(parser, look, &step);
        if step.ends {
            group.flush(parser, joined, out);
        }
        true
    }

    /// Gives out the groups that are meant.
    fn flush_if(&mut self, out: &mut Out<'_>, is_meant: impl Fn(&Group, &MultilineParser) -> bool) {
        let Self { parsers, groups, joined, .. } = self;
        for group in groups {
            let parser = &parsers[group.parser];
            if is_meant(group, parser) {
                group.flush(parser, joined, out);
            }
        }
    }
}

/// What a line does.
struct Step {
    /// It begins a record.
    begins: bool,
    /// It ends one.
    ends: bool,
    rule: Option<usize>,
}

/// What a parser makes of a line. `None` if it does not take it.
fn look<'a>(
    parser: &MultilineParser,
    line: &'a [u8],
    offset: u64,
    now: Timestamp,
    body: &'a mut Vec<u8>,
) -> Option<Look<'a>> {
    body.clear();
    let text = Look { content: line, pattern: line, group: b"", body: b"", time: now, offset, now };
    let Some(inner) = &parser.parser else { return Some(text) };
    let parsed = inner.parse(line, now, body).ok()?;
    let find = |key: &Option<String>| {
        let key = key.as_ref()?.as_bytes();
        let mut entries = msgpack::entries(body).ok()?.flatten();
        entries.find_map(|(name, value)| {
            (msgpack::as_str(name) == Some(key)).then(|| msgpack::as_str(value))?
        })
    };
    let content = find(&parser.key_content)?;
    Some(Look {
        content,
        pattern: find(&parser.key_pattern).unwrap_or(content),
        group: find(&parser.key_group).unwrap_or_default(),
        body,
        time: parsed.time.unwrap_or(now),
        ..text
    })
}

/// `None` if the line neither goes on from `rule` nor begins a record. An empty line of text ends with no text.
fn step(parser: &MultilineParser, rule: Option<usize>, look: &Look<'_>) -> Option<Step> {
    let ends = match &parser.whole {
        Whole::Rules(rules) => return follow(rules, rule, look.content),
        Whole::EndsWith { .. } if parser.parser.is_none() && look.pattern.is_empty() => {
            return None;
        }
        Whole::EndsWith { text, negate } => look.pattern.ends_with(text) != *negate,
        Whole::Equals { text, negate } => (look.pattern == text) != *negate,
    };
    Some(Step { begins: false, ends, rule: None })
}

fn follow(rules: &[Rule], rule: Option<usize>, text: &[u8]) -> Option<Step> {
    let is_found = |rule: &Rule| rule.pattern.is_match(text).unwrap_or(false);
    let state = rule.and_then(|rule| rules.get(rule)).map(|rule| rule.to.as_str());
    let mut goes_on = None;
    if let Some(state) = state {
        goes_on = rules.iter().position(|rule| rule.is_for(state) && is_found(rule));
    }
    let begins = goes_on.is_none();
    let next = goes_on
        .or_else(|| rules.iter().position(|rule| rule.is_for(Rule::START) && is_found(rule)))?;
    Some(Step { begins, ends: rules[next].to == Rule::START, rule: Some(next) })
}

impl Group {
    fn new(parser: usize, look: &Look<'_>) -> Self {
        Self {
            parser,
            key: look.group.to_vec(),
            body: Vec::new(),
            text: Vec::new(),
            is_fresh: true,
            time: look.time,
            offset: look.offset,
            since: look.now,
            rule: None,
        }
    }

    fn add(&mut self, parser: &MultilineParser, look: &Look<'_>, step: &Step) {
        let has_rules = matches!(parser.whole, Whole::Rules(_));
        let is_text = parser.key_content.is_none() || has_rules;
        if self.is_fresh {
            self.is_fresh = false;
            self.body.extend_from_slice(look.body);
            self.time = look.time;
            self.offset = look.offset;
        } else if is_text {
            end_line(&mut self.text);
        }
        if look.content.is_empty() && has_rules && !step.begins {
            self.text.push(b'\n');
        }
        self.text.extend_from_slice(look.content);
        self.rule = step.rule;
        self.since = look.now;
    }

    /// Gives out what waits. `joined` lends its memory.
    fn flush(&mut self, parser: &MultilineParser, joined: &mut Vec<u8>, out: &mut Out<'_>) {
        if self.is_fresh {
            return;
        }
        let (time, offset) = (self.time, self.offset);
        if self.body.is_empty() {
            if parser.key_content.is_none() {
                end_line(&mut self.text);
            }
            if !self.text.is_empty() {
                out(Joined { what: What::Text(&self.text), time, offset });
            }
        } else {
            let key = parser.key_content.as_deref().unwrap_or_default();
            with_content(&self.body, key.as_bytes(), &self.text, joined);
            out(Joined { what: What::Body(joined), time, offset });
        }
        self.body.clear();
        self.text.clear();
        self.is_fresh = true;
    }
}

/// The records that the lines of a whole text come to, each with its offset: joined text, or a map as msgpack. Names that nobody
/// knows are passed over.
pub fn join_lines(known: &MultilineParsers, names: &[&str], text: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let parsers: Vec<_> = names.iter().filter_map(|name| known.find(name).cloned()).collect();
    let mut joiner = Joiner::new(parsers.into(), Service::default().multiline_limit());
    let mut records = Vec::new();
    let mut out = |joined: Joined<'_>| match joined.what {
        What::Text(record) | What::Body(record) => records.push((joined.offset, record.to_vec())),
    };
    let mut offset = 0;
    for line in text.split(|byte| *byte == b'\n') {
        joiner.push(line, offset, Timestamp::default(), &mut out);
        offset += line.len() as u64 + 1;
    }
    joiner.flush(&mut out);
    records
}

/// The first line's map, with all lines' text under the key.
pub(super) fn with_content(body: &[u8], key: &[u8], text: &[u8], joined: &mut Vec<u8>) {
    joined.clear();
    joined.push(0x80);
    let mut count = 0;
    for (name, value) in msgpack::entries(body).into_iter().flatten().flatten() {
        joined.extend_from_slice(name);
        if msgpack::as_str(name) == Some(key) {
            msgpack::write_str(joined, text);
        } else {
            joined.extend_from_slice(value);
        }
        count += 1;
    }
    map::set_len(joined, 0, count);
}

/// Whether the time is over that began at `since`. A clock that was set back must not hold lines up.
pub fn is_over(since: Timestamp, timeout: Duration, now: Timestamp) -> bool {
    let nanos = |time: Timestamp| u128::from(time.sec) * 1_000_000_000 + u128::from(time.nsec);
    now < since || nanos(now) - nanos(since) >= timeout.as_nanos()
}

fn end_line(text: &mut Vec<u8>) {
    if text.last().is_some_and(|byte| *byte != b'\n') {
        text.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use flb_plugin::Regex;

    use super::*;
    use crate::multiline::testing::{self, check};

    const LIMIT: usize = 2_000_000;

    fn joiner(names: &[&str]) -> Joiner {
        let all = crate::multiline::builtin_multiline();
        Joiner::new(names.iter().map(|name| Arc::clone(all.find(name).unwrap())).collect(), LIMIT)
    }

    const JAVA: &str = "\
one
Exception in thread main java.lang.RuntimeException: no
    at a.B.c(B.java:22)
Caused by: java.io.IOException
\tat d.E.f(E.java:1)
\t... 5 more
two";

    #[test]
    fn a_trace_of_java_is_one_record() {
        check(
            &mut joiner(&["java"]),
            JAVA,
            &[
                "0 one\\n",
                "4 Exception in thread main java.lang.RuntimeException: no\\n    at a.B.c(B.java:22)\\nCaused by: java.io.IOException\\n\\tat d.E.f(E.java:1)\\n\\t... 5 more\\n",
                "147 two\\n",
            ],
        );
    }

    #[test]
    fn the_traces_of_each_language_are_one_record_each() {
        for (name, trace) in testing::TRACES {
            let text = format!("before\n{trace}\nafter it");
            let found = testing::join(&mut joiner(&[name]), &text);
            assert_eq!(found.len(), 3, "{name}: {found:#?}");
            // Whatever the order, each is found by the parser that knows it.
            let found = testing::join(&mut joiner(&["ruby", "python", "go", "java"]), &text);
            assert_eq!(found.len(), 3, "{name}: {found:#?}");
        }
    }

    #[test]
    fn two_traces_in_a_row_are_two_records() {
        for (name, trace) in testing::TRACES {
            let found = testing::join(&mut joiner(&[name]), &format!("{trace}\n{trace}"));
            assert_eq!(found.len(), 2, "{name}: {found:#?}");
        }
    }

    #[test]
    fn the_pieces_of_a_container_s_line_are_joined_stream_by_stream() {
        check(
            &mut joiner(&["docker", "cri"]),
            "\
2024-01-01T00:00:00.5Z stdout P one \n\
2024-01-01T00:00:01Z stderr F error\n\
2024-01-01T00:00:02Z stdout P two \n\
2024-01-01T00:00:03Z stdout F three\n\
not of a container\n\
2024-01-01T00:00:04Z stdout F last",
            &[
                r#"37 {"time":"2024-01-01T00:00:01Z","stream":"stderr","_p":"F","log":"error"} 1704067201"#,
                r#"0 {"time":"2024-01-01T00:00:00.5Z","stream":"stdout","_p":"P","log":"one two three"} 1704067200"#,
                r"144 not of a container",
                r#"163 {"time":"2024-01-01T00:00:04Z","stream":"stdout","_p":"F","log":"last"} 1704067204"#,
            ],
        );
    }

    #[test]
    fn docker_s_last_piece_ends_with_a_newline() {
        check(
            &mut joiner(&["docker", "cri"]),
            r#"{"log":"one, ","stream":"stdout","time":"2024-01-01T00:00:00Z"}
{"log":"two\n","stream":"stdout","time":"2024-01-01T00:00:01Z"}
{"log":"","stream":"stdout"}
{"log":"\n","stream":"stdout"}"#,
            &[
                r#"0 {"log":"one, two\n","stream":"stdout","time":"2024-01-01T00:00:00Z"} 1704067200"#,
                r#"128 {"log":"\n","stream":"stdout"} 1000"#,
            ],
        );
    }

    #[test]
    fn lines_wait_for_so_long() {
        let mut joiner = joiner(&["java"]);
        let at = |sec| Timestamp { sec, nsec: 0 };
        let mut found = Vec::new();
        let mut out = |joined: Joined<'_>| found.push(testing::show(&joined));
        joiner.push(b"java.lang.Error: x", 7, at(10), &mut out);
        joiner.flush_due(at(13), &mut out);
        assert_eq!(joiner.waits_from(), Some(7));
        joiner.push(b"  at x", 20, at(13), &mut out);
        joiner.flush_due(at(16), &mut out);
        joiner.flush_due(at(17), &mut out);
        assert_eq!(joiner.waits_from(), None);
        joiner.push(b"  at y", 30, at(17), &mut out);
        assert_eq!(joiner.waits_from(), Some(30));
        joiner.flush_due(at(21), &mut out);
        assert_eq!(found, [r"7 java.lang.Error: x\n  at x\n", r"30   at y\n"]);
    }

    #[test]
    fn what_is_too_long_becomes_several_records() {
        let mut joiner = joiner(&["cri"]);
        let mut sizes = Vec::new();
        let piece = format!("2024-01-01T00:00:00Z stdout P {}", "x".repeat(900_000));
        for _ in 0..5 {
            joiner.push(piece.as_bytes(), 0, testing::NOW, &mut |joined| {
                let What::Body(body) = joined.what else { panic!("it is parsed") };
                sizes.push(body.len() / 900_000);
            });
        }
        joiner.flush(&mut |_| sizes.push(0));
        assert_eq!(sizes, [2, 2, 0]);
    }

    fn joiner_of(whole: Whole) -> Joiner {
        let parser = MultilineParser { whole, ..MultilineParser::clone(&testing::rules()) };
        Joiner::new([Arc::new(parser)].into(), LIMIT)
    }

    #[test]
    fn empty_lines_are_lines_where_a_rule_takes_them() {
        let text = b"!".to_vec();
        let mut joiner = joiner_of(Whole::Equals { text: text.clone(), negate: false });
        check(&mut joiner, "\n!\n\na\n\nb\n!\n\n", &[r"0 !\n", r"3 a\nb\n!\n"]);
        let mut joiner = joiner_of(Whole::EndsWith { text, negate: false });
        check(&mut joiner, "\na\nb!\n\nc\n\nd!\n", &[r"1 a\nb!\n", r"7 c\n", r"10 d!\n"]);
        let rule = |from: &str, pattern: &str| Rule {
            from: vec![from.to_owned()],
            pattern: Regex::new(pattern).unwrap(),
            to: "more".to_owned(),
        };
        let mut joiner =
            joiner_of(Whole::Rules(vec![rule("start_state", "^a"), rule("more", r"^\s*$|^ ")]));
        check(&mut joiner, "\na\n\n\n b\nc\n", &[r"1 a\n\n\n b\n", r"8 c\n"]);
    }

    #[test]
    fn a_line_that_no_rule_takes_leaves_the_state_as_it_is() {
        check(
            &mut joiner(&["java"]),
            "java.lang.Error: x\n  at 0\n2024 a\nb\n  at 1\n  at 2\nc",
            &[
                r"0 java.lang.Error: x\n  at 0\n",
                r"26 2024 a\n",
                r"33 b\n",
                r"35   at 1\n  at 2\n",
                r"49 c\n",
            ],
        );
    }

    #[test]
    fn any_number_of_groups_may_wait_under_several_parsers() {
        let regex = crate::ALL.iter().find(|spec| spec.name == "regex").unwrap();
        let parser = |letter: &str| {
            let pattern = format!(r"^{letter} (?<pod>\S+) (?<flag>\w) (?<log>.*)$");
            MultilineParser {
                whole: Whole::Equals { text: b"F".to_vec(), negate: false },
                parser: Some(flb_harness::build(regex, &[("regex", &pattern)]).unwrap().into()),
                key_content: Some("log".to_owned()),
                key_pattern: Some("flag".to_owned()),
                key_group: Some("pod".to_owned()),
                flush_timeout: Duration::from_secs(3),
            }
        };
        let mut joiner = Joiner::new([parser("A"), parser("B")].map(Arc::new).into(), LIMIT);
        let lines = |flag: &str, text: &str| -> String {
            (1..=12).map(|pod| format!("A {pod} {flag} {text}{pod}\n")).collect()
        };
        let text = [lines("P", "x"), "B 9 P b\nB 9 F c\nB 12 F d\n".to_owned(), lines("F", "y")];
        let found = testing::join(&mut joiner, &text.concat());
        let mut texts = vec![(9, "bc".to_owned()), (12, "d".to_owned())];
        texts.extend((1..=12).map(|pod| (pod, format!("x{pod}y{pod}"))));
        assert_eq!(found.len(), texts.len(), "{found:#?}");
        for (found, (pod, text)) in found.iter().zip(&texts) {
            assert!(found.contains(&format!(r#""pod":"{pod}""#)), "{found}");
            assert!(found.contains(&format!(r#""log":"{text}""#)), "{found}");
        }
    }

    #[test]
    fn rules_lead_from_state_to_state() {
        let mut joiner = Joiner::new([testing::rules()].into(), LIMIT);
        check(
            &mut joiner,
            "a\nbegin 1\n-\nx\n+\nend\nbegin 2\nbegin 3",
            &[
                r"0 a\n",
                r"2 begin 1\n-\n",
                r"12 x\n",
                r"14 +\nend\n",
                r"20 begin 2\n",
                r"28 begin 3\n",
            ],
        );
        check(&mut joiner, "begin\n-\n+\nend\n-", &[r"0 begin\n-\n+\nend\n", r"14 -\n"]);
    }
}
