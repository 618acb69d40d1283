//! From a section of a configuration to checked options, or to what is wrong with it.

use std::path::Path;

use flb_config::keys::{
    Bool, Choice, Each, Fields, Int, Key, KeyError, List, Many, Options, Required, Size, Table,
    Text, Word, Words,
};
use flb_config::{Diagnostics, Document, FileKind, Memory, Variables, keys, read_classic};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Msgpack,
}

impl Word for Format {
    const ALL: &'static [(&'static str, Self)] =
        &[("json", Self::Json), ("msgpack", Self::Msgpack)];
}

keys! {
    const ROWS;
    SWITCH: Bool = Key::new("switch", "").default("off");
    COUNT: Int = Key::new("count", "").default("1");
    LIMIT: Option<Size> = Key::new("limit", "");
    FORMAT: Choice<Format> = Key::new("format", "").default("json");
    PATHS: List = Key::new("paths", "").default("");
    RULE: Many<Text> = Key::new("rule", "").repeated();
    WORDS: Option<Words> = Key::new("words", "");
    SETTINGS: Each<Text> = Key::new("config.*", "").each();
}

const TABLE: Table = Table(&[ROWS]);

/// Reads the properties given, one a line, and shows what came of them and what was said.
fn check(properties: &str, options: &str, said: &str) {
    let lines: String = properties.lines().map(|line| format!("    {line}\n")).collect();
    let path = Path::new("x.conf");
    let files = Memory([(path.to_owned(), format!("[FILTER]\n    Name x\n{lines}"))].into());
    let mut document = Document::default();
    let read = read_classic(&mut document, path, FileKind::Main, &files);
    assert!(read.is_empty(), "{}", read.render(document.sources()));
    let mut diagnostics = Diagnostics::default();
    let section = &document.sections[0];
    let variables = Variables::new(
        [("HOME_DIR".to_owned(), "/home/me".to_owned())].into(),
        None,
        std::sync::Arc::new(Memory::default()),
    );
    let read = Options::read("x", TABLE, section, &["name", "match"], &variables, &mut diagnostics);
    let mut shown = format!(
        "{} {:?} {:?} {:?} {:?} {:?}",
        read.get(SWITCH),
        read.get(COUNT),
        read.get(LIMIT),
        read.get(FORMAT),
        read.get(PATHS),
        read.get(RULE),
    );
    if let Some(words) = read.get(WORDS) {
        shown += &format!(" {words:?}");
    }
    for (key, text) in read.get(SETTINGS) {
        shown += &format!(" {key}={text}");
    }
    let messages: Vec<String> = diagnostics
        .iter()
        .map(|one| match &one.help {
            Some(help) => format!("{}; help: {help}", one.message),
            None => one.message.clone(),
        })
        .collect();
    assert_eq!((shown.as_str(), messages.join("\n").as_str()), (options, said));
}

const DEFAULTS: &str = r#"false 1 None Json [] []"#;

#[test]
fn options_are_typed_and_have_defaults() {
    check("", DEFAULTS, "");
    check(
        "Switch on\nCOUNT 7\nlimit 32k\nformat MsgPack\npaths a, b\nrule one two\nrule three",
        r#"true 7 Some(32000) Msgpack ["a", "b"] ["one two", "three"]"#,
        "",
    );
}

#[test]
fn variables_are_filled_in_and_an_empty_value_counts_as_none() {
    check("paths ${HOME_DIR}/a", r#"false 1 None Json ["/home/me/a"] []"#, "");
    check(
        "count ${NOT_SET}",
        DEFAULTS,
        "variable ${NOT_SET} is used but not set; help: write ${NOT_SET:-text} to give it a default",
    );
}

#[test]
fn an_unknown_option_is_refused_with_those_that_are_allowed() {
    let allowed = "The following properties are allowed: switch, count, limit, format, paths, rule, words, and config.*.";
    check(
        "fromat json",
        DEFAULTS,
        &format!(
            "[config] x: unknown configuration property 'fromat'. {allowed}; help: did you mean 'format'?"
        ),
    );
    check(
        "tag a.*",
        DEFAULTS,
        &format!(
            "[config] x: unknown configuration property 'tag'. {allowed}; help: did you mean 'Match'?"
        ),
    );
}

#[test]
fn an_option_given_twice_is_refused_unless_it_may_repeat() {
    check(
        "count 1\ncount 2",
        DEFAULTS,
        "[config] x: configuration property 'count' is set 2 times; help: give it once",
    );
}

#[test]
fn words_are_separated_by_blanks() {
    check(r#"words -v "one two" three"#, &format!(r#"{DEFAULTS} ["-v", "one two", "three"]"#), "");
}

#[test]
fn an_option_may_stand_for_all_keys_that_begin_like_it() {
    check(
        "Config.Level debug\nconfig.a.b ${HOME_DIR}\nconfig.level info",
        &format!("{DEFAULTS} level=debug a.b=/home/me"),
        "[config] x: configuration property 'config.level' is set 2 times; help: give it once",
    );
}

#[test]
fn a_word_that_is_no_choice_is_refused() {
    check(
        "format xml",
        DEFAULTS,
        "[config map] invalid value for property 'format': 'xml' is not one of the known words; help: use one of json, msgpack",
    );
}

#[test]
fn a_key_that_must_be_given_says_what_is_missing() {
    keys! {
        const ROWS;
        PATH: Required<Text> = Key::new("path", "").required("no path was given", "add Path");
    }
    let none = Options::new(Table(&[ROWS]));
    let missing = none.get(PATH).unwrap_err();
    assert_eq!((missing.to_string().as_str(), missing.help), ("no path was given", "add Path"));
    let given = Options::from_pairs(Table(&[ROWS]), [("path", "/x")]).unwrap();
    assert_eq!(given.get(PATH), Ok("/x"));
}

#[test]
fn pairs_are_read_as_a_section_is() {
    let read = |pairs: &[(&str, &str)]| Options::from_pairs(TABLE, pairs.iter().copied());
    let options = read(&[("count", "7"), ("config.level", "debug"), ("rule", "a")]).unwrap();
    assert_eq!(options.get(COUNT), 7);
    assert_eq!(options.get(SETTINGS), [("level", "debug")]);
    let said = |pairs| read(pairs).map_err(|error: KeyError| error.to_string()).unwrap_err();
    assert_eq!(said(&[("fromat", "json")]), "unknown key 'fromat', did you mean 'format'?");
    assert_eq!(said(&[("zzzzzz", "json")]), "unknown key 'zzzzzz'");
    assert_eq!(said(&[("count", "1"), ("count", "1")]), "'count' is given twice");
    assert_eq!(said(&[("count", "x")]), "invalid value for 'count': 'x' is not a whole number");
}

#[test]
fn keys_whose_order_matters_are_had_in_the_order_given() {
    keys! {
        const ROWS;
        KEPT: Many<Fields<1>> = Key::new("regex", "").repeated();
        DROPPED: Many<Fields<1>> = Key::new("exclude", "").repeated();
    }
    let pairs = [("exclude", "a b c"), ("regex", "d e"), ("exclude", "f g")];
    let options = Options::from_pairs(Table(&[ROWS]), pairs).unwrap();
    let found = options.in_order(&[(KEPT, true), (DROPPED, false)]);
    let shown: Vec<String> = found
        .iter()
        .map(|(name, kept, words)| format!("{name} {kept} {}", words.join("|")))
        .collect();
    assert_eq!(shown, ["exclude false a|b c", "regex true d|e", "exclude false f|g"]);
}

#[test]
fn of_a_key_given_again_the_later_one_may_count() {
    let mut options = Options::new(TABLE);
    for (key, text) in [("count", "1"), ("rule", "a"), ("count", "2"), ("count", ""), ("rule", "b")]
    {
        options.replace(TABLE.find(key).unwrap(), key, text, None).unwrap();
    }
    assert_eq!((options.get(COUNT), options.get(RULE)), (2, vec!["a", "b"]));
}

#[test]
fn a_table_tells_what_is_wrong_with_itself() {
    keys! {
        const ROWS;
        ONE: Size = Key::new("limit", "").default("4X");
        OTHER: Option<Int> = Key::new("limit", "");
    }
    let mistakes = ["the default of 'limit': '4X' is not a size", "'limit' stands twice"];
    assert_eq!(Table(&[ROWS]).mistakes(), mistakes);
    assert_eq!([ONE.name(), OTHER.name()], ["limit"; 2]);
    assert!(TABLE.mistakes().is_empty());
}

#[test]
fn help_says_what_a_key_without_effect_is_for() {
    let shown = |key: Key<Option<Bool>>| key.row().help();
    let key = Key::new("http2", "Speak HTTP/2");
    assert_eq!(shown(key), "Speak HTTP/2");
    let idle = "Speak HTTP/2. Without effect: HTTP/1.1 is spoken";
    assert_eq!(shown(key.idle("HTTP/1.1 is spoken")), idle);
    assert_eq!(shown(key.not_yet()), "Speak HTTP/2. Without effect: not supported yet");
    assert_eq!(shown(Key::new("x", "").idle("y")), "Without effect: y");
}

#[test]
fn a_key_can_be_filled_and_be_given_what_is_said_for_another() {
    keys! {
        const OTHERS;
        LEAST: Option<Size> = LIMIT.named("least");
    }
    let mut options = Options::from_pairs(TABLE, [("count", "1")]).unwrap();
    assert_eq!((options.given(COUNT), options.given(SWITCH)), (Some(1), None));
    options.fill(LIMIT, "1k");
    options.fill(LIMIT, "2k");
    assert_eq!(options.get(LIMIT), Some(1_000), "what is there stays");
    let others = Options::from_pairs(Table(&[OTHERS]), [("least", "3k")]).unwrap();
    let mut options = Options::new(TABLE);
    options.give(LIMIT, &others, LEAST);
    assert_eq!((options.get(LIMIT), COUNT.default_value()), (Some(3_000), 1));
}
