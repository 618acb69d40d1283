//! What came of cases: for people, and for the programs that run tests.

use std::fmt::Write as _;
use std::path::Path;

use anstyle::{AnsiColor, Style};
use flb_text::{is_wild, tame_line};
use serde_json::json as object;

use crate::cases::Case;
use crate::differences::differences;
use crate::output::{Line, say, say_json, show_lines};
use crate::suite::Answers;

const PLAIN: Style = Style::new();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

type Told<'a> = (&'a Case, &'a Answers);

/// A line a case, and of those that failed where they stand and how the answers differ.
pub(super) fn text(told: &[Told<'_>]) -> anyhow::Result<()> {
    for (case, answers) in told {
        show_lines(&lines(case, answers))?;
    }
    show_lines(&[sum(told)])
}

/// A case, and if it failed how its answers differ.
pub(crate) fn lines(case: &Case, answers: &Answers) -> Vec<Line> {
    if answers.passed {
        return vec![Line::of(GOOD, "ok    ").and(PLAIN, &*case.about)];
    }
    let place = format!("  ({})", place(case));
    let mut lines = vec![Line::of(BAD, "FAIL  ").and(PLAIN, &*case.about).and(PLAIN, place)];
    lines.extend(differences(&answers.wanted, &answers.found));
    lines.extend(answers.culprit.iter().map(|record| Line::of(PLAIN, format!("    on {record}"))));
    lines
}

/// How many there were.
pub(crate) fn sum(told: &[Told<'_>]) -> Line {
    let failed = failed(told);
    let style = if failed == 0 { GOOD } else { BAD };
    Line::of(style, format!("{} passed, {failed} failed", told.len() - failed))
}

fn failed(told: &[Told<'_>]) -> usize {
    told.iter().filter(|(_, answers)| !answers.passed).count()
}

fn place(case: &Case) -> String {
    format!("{}:{}", case.file.display(), case.line)
}

/// How a case's answers differ, as text.
fn explained(case: &Case, answers: &Answers) -> String {
    let lines = lines(case, answers);
    let lines = lines.iter().skip(1).map(|line| tame_line(&line.plain()).into_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// The XML that JUnit's readers know.
pub(super) fn junit(filter: &Path, told: &[Told<'_>]) -> anyhow::Result<()> {
    let name = xml(&filter.to_string_lossy());
    let counts = format!("tests=\"{}\" failures=\"{}\"", told.len(), failed(told));
    let mut page = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n<testsuite name=\"{name}\" {counts}>\n"
    );
    for (case, answers) in told {
        let file = xml(&case.file.to_string_lossy());
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            page,
            "<testcase classname=\"{file}\" name=\"{}\" file=\"{file}\" line=\"{}\"",
            xml(&case.about),
            case.line
        );
        let _ = match answers.passed {
            true => writeln!(page, "/>"),
            false => writeln!(
                page,
                "><failure message=\"its answers are not as they must be\">{}</failure></testcase>",
                xml(&explained(case, answers))
            ),
        };
    }
    say(&(page + "</testsuite>\n</testsuites>\n"))
}

/// Text within XML. Control characters may not stand there in any form.
fn xml(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\n' => safe.push('\n'),
            _ if is_wild(letter) => safe.extend(letter.escape_unicode()),
            _ => safe.push(letter),
        }
    }
    safe
}

/// The commands by which GitHub shows failures beside the lines of a change.
pub(super) fn github(told: &[Told<'_>]) -> anyhow::Result<()> {
    let mut lines = String::new();
    for (case, answers) in told.iter().filter(|(_, answers)| !answers.passed) {
        let _ = writeln!(
            lines,
            "::error file={},line={},title={}::{}",
            property(&case.file.to_string_lossy()),
            case.line,
            property(&case.about),
            message(&explained(case, answers)),
        );
    }
    let _ = writeln!(lines, "{}", sum(told).plain());
    say(&lines)
}

fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// An object a case.
pub(super) fn json(told: &[Told<'_>]) -> anyhow::Result<()> {
    told.iter().try_for_each(|(case, answers)| {
        say_json(object!({
            "about": case.about, "file": case.file.to_string_lossy(), "line": case.line,
            "passed": answers.passed, "wanted": answers.wanted, "found": answers.found,
            "record": answers.culprit,
        }))
    })
}
