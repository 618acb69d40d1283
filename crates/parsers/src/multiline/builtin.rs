//! The multiline parsers that need no file: those of container runtimes, and the traces of some languages.

use std::sync::Arc;
use std::time::Duration;

use flb_plugin::{MultilineParser, MultilineParsers, Regex, Rule, Whole};

const FLUSH_TIMEOUT: Duration = Duration::from_secs(4);

/// States, what a line in them looks like, and the next state.
type Rules = &'static [(&'static str, &'static str, &'static str)];

/// A panic or a crash: what happened, a blank line, then goroutines of frames of two lines each.
const GO: Rules = &[
    ("start_state", r"\bpanic: ", "panic"),
    ("start_state", r"^(?:fatal|runtime) error: ", "panic"),
    ("start_state", r"http: panic serving", "goroutine"),
    ("panic", r"^\[signal ", "panic"),
    ("panic", r"^\t?(?:panic: |.*\[recovered\])", "panic"),
    ("panic, goroutine, call, place", r"^$", "goroutine"),
    ("panic, goroutine, place", r"^goroutine \d+ \[[^\]]+\]:$", "call"),
    ("call, place", r"^(?:created by )?(?:[^\s.:]+\.)*[^\s.():]+\(.*\)?$|^created by ", "place"),
    ("place", r"^\s", "call"),
    ("goroutine, call", r"^\s+\S+:\d+(?: \+0x[0-9a-f]+)?$", "call"),
    ("call, place", r"^\.\.\.(?:additional frames elided|\d+ frames elided)", "call"),
    ("call", r"^exit status \d+$", "call"),
];

/// An exception, its frames, and what caused it.
const JAVA: Rules = &[
    (
        "start_state, java_start",
        r"(?:Exception|Error|Throwable|V8 errors stack trace)(?:[:\r\n]|$)",
        "java_after",
    ),
    ("java_after", r"^[\t ]*nested exception is:[\t ]*", "java_start"),
    ("java_after", r"^\r*$", "java_after"),
    ("java_after, java", r"^[\t ]+(?:eval )?at ", "java"),
    ("java_after, java", r"^[\t ]*--- End of (?:inner exception )?stack trace", "java"),
    ("java_after, java", r"^[\t ]*(?:Caused by|Suppressed):", "java_after"),
    ("java_after, java", r"^[\t ]*\.\.\. \d+ (?:more|common frames omitted)", "java"),
];

/// A traceback: frames of two lines, then the error, which ends it.
const PYTHON: Rules = &[
    ("start_state", r"^Traceback \(most recent call last\):$", "frame"),
    ("frame", r"^[\t ]+File ", "code"),
    ("code", r"[^\t ]", "frame"),
    // Marks below the code, and more lines of it: code stands deeper than a place.
    ("frame", r"^[\t ]+[~^]+[\t ]*$|^(?:\t| {4})[\t ]*\S", "frame"),
    ("frame", r"^[\t ]+\[Previous line repeated \d+ more times?\]$", "frame"),
    ("frame", r"^(?:[^\s.():]+\.)*[^\s.():]+(?::|$)", "start_state"),
];

/// An error with its place, then the places it was called from.
const RUBY: Rules = &[
    ("start_state, ruby_start", r"^.+:\d+:in\s+.*", "ruby"),
    ("ruby", r"^\s+(?:\d+: )?from\s+.*:\d+:in\s+.*", "ruby"),
];

/// The multiline parsers that need no file: `cri`, `docker`, `go`, `java`, `python`, `ruby`. Those of a file may take these
/// names, so put in the file's first, then those of these whose names are still free.
pub fn builtin_multiline() -> MultilineParsers {
    let mut all = MultilineParsers::default();
    all.insert("docker", Arc::new(docker()));
    all.insert("cri", Arc::new(cri()));
    for (name, rules) in [("go", GO), ("java", JAVA), ("python", PYTHON), ("ruby", RUBY)] {
        all.insert(name, Arc::new(traces(rules)));
    }
    all
}

/// Docker cuts what is long; the last piece ends with a newline.
pub fn docker() -> MultilineParser {
    MultilineParser {
        parser: Some(crate::docker()),
        key_content: Some("log".to_owned()),
        key_group: Some("stream".to_owned()),
        ..text(Whole::EndsWith { text: b"\n".to_vec(), negate: false })
    }
}

/// So does the container runtime interface, which says of each piece whether it is the last: `F`.
fn cri() -> MultilineParser {
    MultilineParser {
        parser: Some(crate::cri()),
        key_content: Some("log".to_owned()),
        key_pattern: Some("_p".to_owned()),
        key_group: Some("stream".to_owned()),
        ..text(Whole::Equals { text: b"F".to_vec(), negate: false })
    }
}

fn traces(rules: Rules) -> MultilineParser {
    let rules = rules.iter().map(|(from, pattern, to)| Rule {
        from: from.split(", ").map(str::to_owned).collect(),
        pattern: Regex::new(pattern).expect("the pattern is a pattern"),
        to: (*to).to_owned(),
    });
    text(Whole::Rules(rules.collect()))
}

fn text(whole: Whole) -> MultilineParser {
    MultilineParser {
        whole,
        parser: None,
        key_content: None,
        key_pattern: None,
        key_group: None,
        flush_timeout: FLUSH_TIMEOUT,
    }
}
