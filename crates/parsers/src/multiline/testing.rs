//! What tests of joining share.

use std::sync::Arc;

use flb_event::Timestamp;
use flb_plugin::{MultilineParser, Regex, Rule, Whole};

use super::join::{Join, Joined, What};
use flb_harness::json_text;

/// When lines come.
pub(super) const NOW: Timestamp = Timestamp { sec: 1000, nsec: 0 };

/// A trace of each language.
pub(super) const TRACES: &[(&str, &str)] = &[
    (
        "go",
        "\
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.inner(...)
\t/app/main.go:9
main.(*T).outer(0xc000012345, {0x0, 0x0})
\t/app/main.go:14 +0x1d
created by main.start in goroutine 7
\t/app/main.go:20 +0x65 in a container

goroutine 8 [chan receive]:
main.wait()
\t/app/wait.go:3 +0x2a
exit status 2",
    ),
    (
        "java",
        "\
java.lang.IllegalStateException: outer
\tat a.B.c(B.java:1)
\tSuppressed: java.lang.Exception: s
\t\tat d.E.f(E.java:2)
Caused by: java.lang.Exception: inner
\tat g.H.i(H.java:3)
\t... 2 common frames omitted",
    ),
    (
        "python",
        "\
Traceback (most recent call last):
  File \"/app/a.py\", line 3, in <module>
    main()
    ~~~~^^
  File \"/app/b.py\", line 8, in deep
    f(
    ~^
        1,
        ^^
        [two for two in range(3)],
        ...<2 lines>...
    )
    ^
  File \"/app/a.py\", line 2, in again
    again()
  [Previous line repeated 996 more times]
  File \"/app/a.py\", line 1, in main
    raise ValueError(\"x\")
ValueError: x",
    ),
    (
        "ruby",
        "\
/app/a.rb:3:in `b': divided by 0 (ZeroDivisionError)
\tfrom /app/a.rb:6:in `c'
\tfrom /app/a.rb:9:in `<main>'",
    ),
];

/// `begin`, then `-`, then `+`, then `end`.
pub(super) fn rules() -> Arc<MultilineParser> {
    let rule = |from: &str, pattern: &str, to: &str| Rule {
        from: vec![from.to_owned()],
        pattern: Regex::new(pattern).unwrap(),
        to: to.to_owned(),
    };
    Arc::new(MultilineParser {
        whole: Whole::Rules(vec![
            rule("start_state", "^begin", "minus"),
            rule("minus", "^-$", "plus"),
            rule("plus", r"^\+$", "end"),
            rule("end", "^end$", "start_state"),
        ]),
        parser: None,
        key_content: None,
        key_pattern: None,
        key_group: None,
        flush_timeout: std::time::Duration::from_secs(1),
    })
}

/// The offset, the text or the body, and the body's time.
pub(super) fn show(joined: &Joined<'_>) -> String {
    match joined.what {
        What::Text(text) => format!("{} {}", joined.offset, text.escape_ascii()),
        What::Body(body) => format!("{} {} {}", joined.offset, json_text(body), joined.time.sec),
    }
}

pub(super) fn join(joiner: &mut dyn Join, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut out = |joined: Joined<'_>| found.push(show(&joined));
    let mut offset = 0;
    for line in text.lines() {
        joiner.push(line.as_bytes(), offset, NOW, &mut out);
        offset += line.len() as u64 + 1;
    }
    joiner.flush(&mut out);
    assert_eq!(joiner.waits_from(), None);
    found
}

pub(super) fn check(joiner: &mut dyn Join, text: &str, expected: &[&str]) {
    assert_eq!(join(joiner, text), expected);
}
