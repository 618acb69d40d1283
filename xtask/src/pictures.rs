//! `cargo xtask pictures`: the live page and the terminal as `docs/images` shows them, from a real run in which one output is away
//! and one filter fails. Needs Chromium.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use flb_testkit::{BROWSER, Browser, Display, Program};

use crate::run::{command, output, root, run as run_command, target_dir};

/// What the pictures are made of.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An agent that is built already
    #[arg(long)]
    agent: Option<PathBuf>,
}

/// Where the pictures are kept.
const FOLDER: &str = "docs/images";
/// How long the agent runs, so that curves are as long as they get.
const RUN: Duration = Duration::from_secs(66);

const CONFIG: &str = "\
[SERVICE]
    Flush           0.5
    HTTP_Server     on
    HTTP_Listen     127.0.0.1
    HTTP_Port       0
    HTTP_Tap        on
    Scheduler.Base  5
    Scheduler.Cap   12
[INPUT]
    Name            dummy
    Alias           nginx
    Tag             web.access
    Rate            240
    Dummy           {\"method\":\"GET\",\"path\":\"/cart\",\"status\":200,\"token\":\"x\"}
[INPUT]
    Name            dummy
    Alias           payments
    Tag             pay.events
    Rate            45
    Dummy           {\"event\":\"paid\",\"amount\":1290,\"currency\":\"EUR\"}
[INPUT]
    Name            dummy
    Alias           legacy
    Tag             old.import
    Rate            6
    Dummy           {\"line\":\"7;broken\"}
[FILTER]
    Name            wasm
    Alias           enrich
    Match           web.*
    WASM_Path       examples/filters/rust-enrich.wasm
    Function_Name   rust_filter
[FILTER]
    Name            wasm
    Alias           import
    Match           old.*
    WASM_Path       FOLDER/import.wasm
    Function_Name   divide
    On_Error        quarantine
    Quarantine_Path FOLDER/quarantine
[OUTPUT]
    Name            null
    Alias           archive
    Match           *
[OUTPUT]
    Name            http
    Alias           siem
    Match           pay.*
    Host            127.0.0.1
    Port            9
    HTTP_User       agent
    HTTP_Passwd     hush
    Retry_Limit     no_limits
";

const DESK: Display = Display { width: 1280, height: 800, is_dark: false };

pub(crate) fn run(args: &Args) -> Result<()> {
    let browser = Browser::find().with_context(|| {
        format!("there is no Chromium; help: install one, or name it in the variable {BROWSER}")
    })?;
    let agent = match &args.agent {
        Some(agent) => agent.clone(),
        None => {
            run_command(&mut command("cargo build --release -p flb-agent"))?;
            target_dir()?.join("release/flb-agent")
        }
    };
    let folder = target_dir()?.join("pictures");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let (program, url) = start(&agent, &folder)?;
    println!("{url} runs for {} s", RUN.as_secs());
    thread::sleep(RUN);
    page(&browser, &folder, &url)?;
    terminal(&agent, &url)?;
    program.signal("TERM");
    program.signal("TERM");
    program.finish();
    Ok(())
}

/// The agent at work, and its URL.
fn start(agent: &Path, folder: &Path) -> Result<(Program, String)> {
    let module = fs::read_to_string(root().join("tests/filter/modules/trap.wat"))?;
    fs::write(folder.join("import.wasm"), wat::parse_str(module)?)?;
    let config = folder.join("agent.conf");
    fs::write(&config, CONFIG.replace("FOLDER", &folder.display().to_string()))?;
    let mut command = Command::new(agent);
    command.arg("-c").arg(&config).current_dir(root());
    let mut program = Program::start(&mut command);
    let line = program.line_with("tcp_port=").context("the agent does not start")?;
    let port = line.trim_end().rsplit('=').next().unwrap_or_default();
    Ok((program, format!("http://127.0.0.1:{port}")))
}

/// The page in light and dark, a node of it, and as a phone has it.
fn page(program: &Path, folder: &Path, url: &str) -> Result<()> {
    let mut browser = Browser::start(program, &folder.join("browser"));
    browser.show_on(DESK);
    browser.open(url);
    browser.wait_until("document.querySelectorAll('#edges path').length > 4");
    keep("page-light.png", &browser.picture())?;
    browser.show_on(Display { is_dark: true, ..DESK });
    browser.wait_until("matchMedia('(prefers-color-scheme: dark)').matches");
    keep("page-dark.png", &browser.picture())?;
    browser.show_on(DESK);
    browser.evaluate("location.hash = '#filters/import'");
    browser
        .wait_until("document.querySelectorAll('#node-sample pre, #node-errors pre').length > 1");
    keep("node.png", &browser.picture())?;
    browser.evaluate("document.querySelector('#close').click()");
    browser.show_on(Display { width: 390, height: 844, is_dark: false });
    browser.wait_until("document.documentElement.clientWidth === 390");
    keep("phone.png", &browser.picture())
}

/// What `flb-agent top` shows.
fn terminal(agent: &Path, url: &str) -> Result<()> {
    let mut command = Command::new(agent);
    command.args(["top", "--once", url]).env("CLICOLOR_FORCE", "1").stdin(Stdio::null());
    let text = output(&mut command)?;
    ensure!(text.contains('\u{1b}'), "top prints no colours");
    keep("top.svg", svg(&text).as_bytes())
}

fn keep(name: &str, bytes: &[u8]) -> Result<()> {
    let path = root().join(FOLDER).join(name);
    fs::create_dir_all(root().join(FOLDER))?;
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{FOLDER}/{name}: {} KiB", bytes.len().div_ceil(1024));
    Ok(())
}

/// Sizes of a letter and a line of the terminal's picture.
const LETTER: f64 = 7.8;
const LINE: usize = 19;

/// A terminal's text as a picture: each run of letters of one style by itself.
fn svg(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let letters =
        lines.iter().map(|line| runs(line).iter().map(|run| run.text.chars().count()).sum());
    let width = (letters.max().unwrap_or(0usize) as f64 * LETTER).ceil() + 32.0;
    let height = lines.len() * LINE + 32;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#0e1217\"/>\
         <g font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"13\" fill=\"#e4e9ee\">\n"
    );
    for (number, line) in lines.iter().enumerate() {
        let y = 30 + number * LINE;
        let mut at = 0;
        for Run { text, style } in runs(line) {
            let x = 16.0 + at as f64 * LETTER;
            let length = text.chars().count();
            at += length;
            if !text.trim().is_empty() {
                let width = length as f64 * LETTER;
                // Viewers make one blank of several, but not of such as do not break.
                let text = text.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
                // Writing to a string cannot fail.
                let _ = writeln!(
                    svg,
                    "<text x=\"{x:.1}\" y=\"{y}\" textLength=\"{width:.1}\"{style}>{text}</text>"
                );
            }
        }
    }
    svg + "</g></svg>\n"
}

/// Letters of one style.
#[derive(Debug, PartialEq, Eq)]
struct Run {
    text: String,
    /// As attributes.
    style: String,
}

/// A line apart where its style changes.
fn runs(line: &str) -> Vec<Run> {
    let (mut runs, mut style) = (Vec::new(), String::new());
    for (at, part) in line.split("\u{1b}[").enumerate() {
        let text = match part.split_once('m') {
            Some((code, text)) if at > 0 => {
                style = if code == "0" { String::new() } else { style + attributes(code) };
                text
            }
            _ => part,
        };
        if !text.is_empty() {
            runs.push(Run { text: text.to_owned(), style: style.clone() });
        }
    }
    runs
}

/// What a terminal's code for a style is in a picture.
fn attributes(code: &str) -> &'static str {
    match code {
        "1" => " font-weight=\"bold\"",
        "2" => " opacity=\".7\"",
        "4" => " text-decoration=\"underline\"",
        "31" => " fill=\"#ff8a8a\"",
        "32" => " fill=\"#63c584\"",
        "33" => " fill=\"#e3ac45\"",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_s_text_is_drawn_in_its_styles() {
        let run = |text: &str, style: &str| Run { text: text.to_owned(), style: style.to_owned() };
        let line = "a\u{1b}[1m\u{1b}[31m✕ b\u{1b}[0m c";
        let bold = " font-weight=\"bold\" fill=\"#ff8a8a\"";
        assert_eq!(runs(line), [run("a", ""), run("✕ b", bold), run(" c", "")]);
        let drawn = svg("a<b\n\u{1b}[2mc\u{1b}[0m\n");
        assert!(drawn.contains(" y=\"30\" textLength=\"23.4\">a&lt;b</text>"), "{drawn}");
        assert!(drawn.contains(" y=\"49\" textLength=\"7.8\" opacity=\".7\">c</text>"), "{drawn}");
    }
}
