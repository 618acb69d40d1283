//! `cargo xtask record`: a terminal session, from a new filter to a stream of records, run for real and drawn as `docs/session.svg`.
//!
//! Lines come in one after another, in a loop of CSS; who prefers no motion sees them all.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::run::{command, root, run as run_command, target_dir};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take programs that are built already
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// What is typed, in a folder that is empty at first.
const SESSION: &[&str] = &[
    "flb-wamrc new hide --lang rust",
    "cd hide && make --silent && flb-wamrc test",
    "flb-wamrc run hide.wasm --record '{\"user\":\"jane\",\"password\":\"x\"}'",
    "flb-wamrc --target=aarch64v8 --cpu=cortex-a57 -o board.aot hide.wasm",
    "flb-wamrc -v=1 -o hide.aot hide.wasm && echo '{\"user\":\"joe\",\"password\":\"y\"}' > app.log",
    "flb-agent -q -i tail -p path=app.log -p parser=json -p read_from_head=on -p exit_on_eof=on -F wasm -m '*' -p wasm_path=hide.aot -p function_name=filter -o stdout",
];

/// The picture, from the project's root.
const PICTURE: &str = "docs/session.svg";

pub(crate) fn run(args: &Args) -> Result<()> {
    let programs = match &args.programs {
        Some(folder) => fs::canonicalize(folder).context("the folder of the programs")?,
        None => {
            run_command(&mut command("cargo build --release -p flb-wamrc -p flb-agent"))?;
            target_dir()?.join("release")
        }
    };
    let folder = target_dir()?.join("record");
    if folder.exists() {
        fs::remove_dir_all(&folder).context("cannot empty the folder of the session")?;
    }
    fs::create_dir_all(&folder).context("cannot create a folder for the session")?;
    let said = said(&mut shell(&programs, &folder)?)?;
    let picture = root().join(PICTURE);
    fs::write(&picture, svg(&lines(&said)))
        .with_context(|| format!("cannot write {}", picture.display()))?;
    println!("{PICTURE}: {} lines", said.lines().count());
    Ok(())
}

/// One shell that goes through the session, with a mark before each command; it stops where one fails.
fn shell(programs: &std::path::Path, folder: &std::path::Path) -> Result<Command> {
    let mut script = String::from("set -e; exec 2>&1\n");
    for typed in SESSION {
        writeln!(script, "printf '%s\\n' {}\n{typed}", quoted(&format!("{MARK}{typed}")))?;
    }
    let path = std::env::join_paths(
        std::iter::once(programs.to_owned())
            .chain(std::env::split_paths(&std::env::var_os("PATH").context("there is no PATH")?)),
    )?;
    let mut bash = Command::new("bash");
    bash.arg("-c")
        .arg(script)
        .env("PATH", path)
        .env("CARGO_TERM_QUIET", "true")
        .current_dir(folder)
        .stdin(Stdio::null());
    Ok(bash)
}

/// Before what is typed. No program prints it.
const MARK: char = '\u{1}';

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn said(shell: &mut Command) -> Result<String> {
    let output = shell.stderr(Stdio::inherit()).output().context("cannot run bash")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "the session failed:\n{said}");
    Ok(said)
}

/// A line of the terminal.
#[derive(Debug, PartialEq)]
struct Line {
    text: String,
    is_typed: bool,
}

/// As wide as a terminal usually is; what is longer goes on in the next line.
const WIDTH: usize = 96;

fn lines(said: &str) -> Vec<Line> {
    let line = |line: &str| match line.strip_prefix(MARK) {
        Some(typed) => (true, broken(&format!("$ {typed}"))),
        None => (false, cut(line)),
    };
    let line = |text| {
        let (is_typed, parts) = line(text);
        parts.into_iter().map(move |text| Line { text, is_typed })
    };
    said.lines().flat_map(line).collect()
}

/// A long line as a terminal goes on with it.
fn cut(line: &str) -> Vec<String> {
    let chars: Vec<char> = line.chars().collect();
    chars.chunks(WIDTH).map(|part| part.iter().collect()).collect()
}

/// A long line as one types it, going on behind a word.
fn broken(line: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in line.split_inclusive(' ') {
        let last = lines.last_mut().expect("there is one line at least");
        if last.len() + word.len() > WIDTH - 2 {
            last.push('\\');
            lines.push("    ".to_owned());
        }
        lines.last_mut().expect("there is one line at least").push_str(word);
    }
    lines
}

const LINE_HEIGHT: usize = 19;
const MARGIN: usize = 16;
/// How long what was typed stands alone, in seconds, and a line that came of it.
const TYPED: f64 = 1.6;
const CAME: f64 = 0.25;
/// How long all of it is seen.
const STANDS: f64 = 8.0;

fn svg(lines: &[Line]) -> String {
    let height = 2 * MARGIN + lines.len() * LINE_HEIGHT;
    let total = STANDS + lines.iter().map(pause).sum::<f64>();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 780 {height}\" role=\"img\">\n\
         <title>A filter is made, tested, compiled and run</title>\n<style>\
         rect{{fill:#0d1117}}text{{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#c9d1d9;white-space:pre}}\
         .typed{{fill:#7ee787}}\
         @media(prefers-reduced-motion:no-preference){{text{{animation:{total:.1}s step-end infinite}}}}\n"
    );
    let mut seconds = 0.0;
    for (at, line) in lines.iter().enumerate() {
        let share = 100.0 * seconds / total;
        _ = writeln!(svg, "@keyframes l{at}{{0%{{opacity:0}}{share:.1}%{{opacity:1}}}}");
        seconds += pause(line);
    }
    svg += "</style>\n<rect width=\"780\" height=\"100%\" rx=\"8\"/>\n";
    for (at, line) in lines.iter().enumerate() {
        let y = MARGIN + at * LINE_HEIGHT + 13;
        let class = if line.is_typed { " class=\"typed\"" } else { "" };
        let text = escaped(&line.text);
        _ = writeln!(
            svg,
            "<text{class} x=\"{MARGIN}\" y=\"{y}\" style=\"animation-name:l{at}\">{text}</text>"
        );
    }
    svg + "</svg>\n"
}

fn pause(line: &Line) -> f64 {
    if line.is_typed { TYPED } else { CAME }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_told_from_what_came() {
        let long = "x".repeat(WIDTH + 1);
        let typed = format!("{} yy", "x".repeat(WIDTH - 5));
        let line = |text: &str, is_typed| Line { text: text.into(), is_typed };
        assert_eq!(
            lines(&format!("{MARK}echo a\na\n{long}\n{MARK}{typed}\n")),
            [
                line("$ echo a", true),
                line("a", false),
                line(&long[1..], false),
                line("x", false),
                line(&format!("$ {} \\", "x".repeat(WIDTH - 5)), true),
                line("    yy", true),
            ]
        );
    }

    #[test]
    fn a_session_runs_to_its_first_failure() {
        let mut shell = Command::new("bash");
        shell.arg("-c").arg("set -e; exec 2>&1; echo out; echo err >&2; false; echo no");
        let told = said(&mut shell).unwrap_err().to_string();
        assert_eq!(told, "the session failed:\nout\nerr\n");
    }

    #[test]
    fn a_picture_has_each_line_at_its_time() {
        let drawn = svg(&lines(&format!("{MARK}a\n<b>\n")));
        assert!(drawn.contains("@keyframes l1{0%{opacity:0}16.2%{opacity:1}}"), "{drawn}");
        assert!(drawn.contains(">&lt;b&gt;</text>"), "{drawn}");
    }
}
