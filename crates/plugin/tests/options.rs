//! From a section of a configuration to checked options, or to what is wrong with it.

use std::path::Path;

use flb_config::{Diagnostics, Document, FileKind, Memory, Variables, read_classic};
use flb_plugin::{Kind, OptionSpec, Options};

static SPECS: &[OptionSpec] = &[
    OptionSpec::new("switch", Kind::Bool, Some("off"), ""),
    OptionSpec::new("count", Kind::Int, Some("1"), ""),
    OptionSpec::new("limit", Kind::Size, None, ""),
    OptionSpec::new("format", Kind::Choice(&["json", "msgpack"]), Some("json"), ""),
    OptionSpec::new("paths", Kind::List, None, ""),
    OptionSpec::new("rule", Kind::Text, None, "").repeated(),
    OptionSpec::new("words", Kind::Words, None, ""),
    OptionSpec::new("config.*", Kind::Text, None, ""),
];

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
    let read = Options::read("x", SPECS, section, &["name", "match"], &variables, &mut diagnostics);
    let mut shown = format!(
        "{} {:?} {:?} {:?} {:?} {:?}",
        read.bool("switch"),
        read.int("count"),
        read.size("limit"),
        read.text("format"),
        read.list("paths"),
        read.texts("rule").collect::<Vec<_>>()
    );
    if !read.list("words").is_empty() {
        shown += &format!(" {:?}", read.list("words"));
    }
    for (key, text) in read.keyed("config.*") {
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

const DEFAULTS: &str = r#"false Some(1) None Some("json") [] []"#;

#[test]
fn options_are_typed_and_have_defaults() {
    check("", DEFAULTS, "");
    check(
        "Switch on\nCOUNT 7\nlimit 32k\nformat MsgPack\npaths a, b\nrule one two\nrule three",
        r#"true Some(7) Some(32000) Some("msgpack") ["a", "b"] ["one two", "three"]"#,
        "",
    );
}

#[test]
fn variables_are_filled_in_and_an_empty_value_counts_as_none() {
    check("paths ${HOME_DIR}/a", r#"false Some(1) None Some("json") ["/home/me/a"] []"#, "");
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
