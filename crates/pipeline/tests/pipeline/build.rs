//! What is said about a configuration that is wrong.

use crate::world::{build, build_with};

/// The configuration is wrong, and what is said has these words, in this order.
fn check_config(text: &str, words: &[&str]) {
    let built = build(text);
    check_words(&built.config(), words);
    assert!(built.findings.config.has_errors() && built.pipeline.is_none());
}

/// The configuration is understood, but a plugin does not start.
fn check_start(text: &str, words: &[&str]) {
    let built = build(text);
    assert!(!built.findings.config.has_errors(), "{}", built.config());
    check_words(&built.start(), words);
    assert!(built.findings.start.has_errors() && built.pipeline.is_none());
}

/// The configuration will do, with a warning.
fn check_warning(text: &str, words: &[&str]) {
    let built = build(text);
    let said = built.config();
    check_words(&said, words);
    assert!(built.pipeline.is_some(), "{said}{}", built.start());
}

fn check_words(said: &str, words: &[&str]) {
    let mut rest = said;
    for word in words {
        let Some(at) = rest.find(word) else { panic!("no '{word}' in\n{said}") };
        rest = &rest[at + word.len()..];
    }
}

/// `text` behind an input and before an output that are right.
fn around(text: &str) -> String {
    format!("[INPUT]\n Name count\n{text}[OUTPUT]\n Name keep\n Match *\n")
}

#[test]
fn an_unknown_plugin_is_named_with_the_one_that_was_meant() {
    check_config(
        &around("[FILTER]\n Name evn\n Match *\n"),
        &[
            "[config] section 'evn' tried to instance a plugin name that doesn't exist",
            "etc/main.conf:4",
            "did you mean 'even'?",
        ],
    );
    check_config("[INPUT]\n Name xyz\n", &["section 'xyz'", "input plugins: count"]);
    check_config(
        &around("[FILTER]\n Name content_modifier\n Match *\n"),
        &["section 'content_modifier'", "filter plugins: even"],
    );
}

#[test]
fn what_is_refused_can_be_kept_in_a_folder_only() {
    let words = "storage.keep.rejected needs a storage.path";
    check_config(&format!("[SERVICE]\n storage.keep.rejected on\n{}", around("")), &[words]);
    for path in ["../x", "/x", "a/b", "."] {
        let service = format!("[SERVICE]\n storage.path p\n storage.rejected.path {path}\n");
        check_config(&(service + &around("")), &["storage.rejected.path': not a folder's name"]);
    }
}

#[test]
fn a_section_needs_a_name() {
    check_config(
        &around("[FILTER]\n Match *\n"),
        &["[config] section 'filter' is missing the 'name' property", "main.conf:3"],
    );
}

#[test]
fn all_mistakes_are_found_at_once() {
    let built = build(
        "[SERVICE]\n Grace soon\n[INPUT]\n Mem_Buf_Limit 5x\n Name count\n[FILTER]\n \
                       Name evn\n[OUTPUT]\n Name keep\n Log_Level loud\n Slow x\n Sinc y\n",
    );
    check_words(
        &built.config(),
        &[
            "could not configure service property 'grace'",
            "could not configure property 'mem_buf_limit' on input plugin with section name 'count'",
            "section 'evn'",
            "could not configure property 'log_level' on output plugin",
        ],
    );
    check_words(&built.start(), &["property 'slow'", "'sinc'", "did you mean 'sink'?"]);
}

#[test]
fn a_core_property_is_checked() {
    for (section, words) in [
        ("[INPUT]\n Name count\n Log_Level loud\n", "property 'log_level' on input plugin"),
        ("[INPUT]\n Name count\n Threaded perhaps\n", "property 'threaded' on input plugin"),
        ("[INPUT]\n Name count\n Storage.Type tape\n", "property 'storage.type' on input plugin"),
        ("[INPUT]\n Name count\n Routable off\n", "not routed are not supported yet"),
        ("[FILTER]\n Name even\n Condition x\n", "which only the YAML format can write"),
        ("[FILTER]\n Name even\n Match_Regex (\n", "property 'match_regex' on filter plugin"),
        ("[INPUT]\n Name count\n Workers 1000\n", "property 'workers' on input plugin"),
        ("[OUTPUT]\n Name keep\n Workers -1\n", "not between 0 and 256"),
    ] {
        check_config(section, &["[config] could not configure ", words]);
    }
}

#[test]
fn a_core_property_without_effect_is_a_warning() {
    for (section, words) in [
        ("[INPUT]\n Name count\n Thread.Ring_Buffer.Window 5\n", "has no effect on this input"),
        ("[INPUT]\n Name count\n Rate_Gate.Max_Bytes 1M\n", "not supported yet"),
        ("[OUTPUT]\n Name keep\n Match *\n Retry_Limit x\n", "retried once"),
        ("[OUTPUT]\n Name keep\n Match *\n Net.Keepalive on\n", "this plugin does not use it"),
    ] {
        check_warning(section, &["warning", words]);
    }
    for section in [
        "[INPUT]\n Name count\n Storage.Type memory\n Mem_Buf_Limit 5MB\n Workers 2\n Threaded on\n Tls off\n Log_Suppress_Interval 5\n",
        "[OUTPUT]\n Name keep\n Match *\n Workers 4\n Retry_Limit False\n",
    ] {
        assert_eq!(build(section).config(), "");
    }
}

#[test]
fn a_filter_needs_match_and_tag_stands_for_it_where_there_is_none() {
    check_warning(
        &around("[FILTER]\n Name even\n Tag dummy.*\n"),
        &["a filter has no 'Tag'; it is taken as 'Match'", "write Match dummy.*"],
    );
    for given in ["Match *", "Match_Regex ."] {
        check_start(
            &around(&format!("[FILTER]\n Name even\n {given}\n Tag dummy.*\n")),
            &["[config] even: unknown configuration property 'tag'", "did you mean 'Match'?"],
        );
    }
    let built = build(&around("[FILTER]\n Name even\n"));
    let failed: Vec<String> = built.findings.failed.iter().map(ToString::to_string).collect();
    assert_eq!(failed, ["filter:even:even.0"]);
}

#[test]
fn a_plugins_own_options_are_its_own() {
    check_start(
        "[INPUT]\n Name count\n Records 1\n Records 2\n",
        &["[config] count: configuration property 'records' is set 2 times"],
    );
    check_start(
        &around("[FILTER]\n Name forkless\n Match *\n Built perhaps\n"),
        &["[config map] invalid value for boolean property 'built=perhaps'"],
    );
}

#[test]
fn a_plugin_that_is_not_built_says_why() {
    check_start(
        &around("[FILTER]\n Name even\n Match *\n[FILTER]\n Name forkless\n Match *\n Built no\n"),
        &["[filter:forkless:forkless.1] it was not to be built", "main.conf:6", "let it be"],
    );
}

#[test]
fn a_filter_is_forked_for_every_further_input() {
    let filter = "[FILTER]\n Name forkless\n Match *\n";
    assert!(build(&around(filter)).pipeline.is_some());
    check_start(
        &format!("[INPUT]\n Name count\n{}", around(filter)),
        &["[filter:forkless:forkless.0] there is only one"],
    );
}

#[test]
fn an_output_without_match_is_warned_about_unless_there_is_no_doubt() {
    assert_eq!(build("[INPUT]\n Name count\n[OUTPUT]\n Name keep\n").config(), "");
    check_warning(
        "[INPUT]\n Name count\n[OUTPUT]\n Name keep\n Match *\n[OUTPUT]\n Name keep\n",
        &["[router] NO match for keep.1 output instance"],
    );
}

#[test]
fn variables_are_filled_in() {
    check_config("@SET plugin=cuont\n[INPUT]\n Name ${plugin}\n", &["'cuont'", "'count'"]);
    check_warning("[INPUT]\n Name count\n Tag x${nothing}\n", &["${nothing} is used but not set"]);
}

#[test]
fn service_properties_are_checked() {
    check_config("[SERVICE]\n Flush 0\n", &["invalid flush value, aborting."]);
    check_config("[SERVICE]\n Flush -1\n", &["invalid flush value, aborting."]);
    check_config(
        "[SERVICE]\n Storage.Type tape\n",
        &["[config] could not configure service property 'storage.type'", "use one of"],
    );
    check_config("[SERVICE]\n Scheduler.Base 0\n", &["not positive"]);
    assert_eq!(
        build("[SERVICE]\n Plugins_File off\n Storage.Trim_Files on\n Coro_Stack_Size 1\n")
            .config(),
        ""
    );
    check_warning(
        "[SERVICE]\n Streams_File x\n",
        &["service property 'streams_file' is not supported yet"],
    );
    check_warning(
        "[SERVICE]\n Flsh 5\n",
        &["unknown service property 'flsh' is ignored", "did you mean 'flush'?"],
    );
}

#[test]
fn a_warning_about_a_service_key_is_given_once() {
    let said = build("[SERVICE]\n DNS.Mode UDP\n DNS.Mode TCP\n").config();
    assert_eq!(said.matches("dns.mode").count(), 1, "{said}");
    for key in ["dns.prefer_ipv4", "plugins_file", "streams_file"] {
        let warning = format!("service property '{key}' is not supported yet");
        check_warning(&around(&format!("[SERVICE]\n {key} x\n")), &[&warning]);
    }
}

#[test]
fn parsers_come_from_files() {
    let conf = "[SERVICE]\n Parsers_File p.conf\n[INPUT]\n Name count\n";
    let said = |parsers: &str| build_with(conf, &[("etc/p.conf", parsers)]).config();
    assert_eq!(said("[PARSER]\n Name a\n Format strict\n Level 3\n"), "");
    check_words(&said("[PARSER]\n Name a\n Format strct\n"), &["'strct'", "p.conf:3", "'strict'"]);
    check_words(&said("[PARSER]\n Format strict\n"), &["missing the 'name' property"]);
    let odd = "[PARSER]\n Name a\n Format strict\n Levl 3\n Level 3\n Level many\n Name b\n";
    let built = build_with(conf, &[("etc/p.conf", odd)]);
    check_words(
        &built.config(),
        &[
            "warning: [parser] unknown key 'levl' is ignored",
            "p.conf:4",
            "did you mean 'level'?",
            "warning: [parser] 'level' is given again, and ignored",
            "p.conf:6",
            "warning: [parser] 'name' is given again, and ignored",
        ],
    );
    assert!(!built.findings.config.has_errors());
    check_words(
        &said("[PARSER]\n Name a\n Format strict\n[PARSER]\n Name a\n Format strict\n"),
        &["[parser] parser named 'a' already exists, skip."],
    );
    check_words(&build(conf).config(), &["could not open configuration file", "main.conf:2"]);
}

#[test]
fn multiline_parsers_come_from_files_and_find_the_parsers() {
    let conf = "[SERVICE]\n Parsers_File p.conf\n[INPUT]\n Name count\n";
    let said = |parsers: &str| build_with(conf, &[("etc/p.conf", parsers)]).config();
    let pairs = "[MULTILINE_PARSER]\n Name m\n Type pairs\n Parser a\n";
    assert_eq!(said(&format!("{pairs}[PARSER]\n Name a\n Format strict\n")), "");
    check_words(&said(pairs), &["[multiline parser:m] parser 'a' is not known", "p.conf:1"]);
    check_words(&said("[MULTILINE_PARSER]\n Name m\n Type pair\n"), &["'pair'", "'pairs'"]);
    let odd = "[MULTILINE_PARSER]\n Name m\n Type pairs\n Type pear\n Parsr a\n";
    check_words(
        &said(odd),
        &["[multiline parser] 'type' is given again", "unknown key 'parsr' is ignored"],
    );
    check_words(
        &said("[MULTILINE_PARSER]\n Name m\n"),
        &["a multiline parser is missing the 'type' property"],
    );
}
