//! The live page of a running pipeline, in a real browser: headless Chromium, where there is one. Else the test is shown as
//! ignored. Screenshots stay in the target folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "whoever runs the test wants to know where the screenshots are"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use flb_testkit::{Program, get};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

/// Names the browser, if it is not on the `PATH` by one of the usual names.
const VARIABLE: &str = "CHROMIUM";
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A start of the browser may take this long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// All inputs but the first have an end, so their numbers are known. One output is not there.
const CONFIG: &str = "\
[SERVICE]
    Flush           0.1
    HTTP_Server     on
    HTTP_Listen     127.0.0.1
    HTTP_Port       0
    Scheduler.Base  600
[INPUT]
    Name       dummy
    Alias      requests
    Tag        requests
    Rate       200
    Dummy      {\"path\":\"/index.html\",\"status\":200}
[INPUT]
    Name       dummy
    Alias      audit
    Tag        audit
    Rate       1000
    Samples    300
[INPUT]
    Name       dummy
    Alias      broken
    Tag        broken
    Rate       1000
    Samples    7
[FILTER]
    Name           wasm
    Alias          enrich
    Match          requests
    WASM_Path      enrich.wat
    Function_Name  filter
[FILTER]
    Name           wasm
    Alias          traps
    Match          broken
    WASM_Path      trap.wat
    Function_Name  unreachable
    On_Error       drop
    Log_Level      off
[OUTPUT]
    Name   null
    Alias  archive
    Match  *
[OUTPUT]
    Name         http
    Alias        siem
    Match        audit
    Host         127.0.0.1
    Port         1
    Retry_Limit  no_limits
    Log_Level    off
";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let browser = browser();
    let is_here = browser.is_some();
    if !is_here {
        println!(
            "live page: SKIPPED, there is no Chromium; install one, or name it in the variable {VARIABLE}"
        );
    }
    let test = Trial::test("the_live_page_shows_the_running_pipeline", move || {
        the_live_page_shows_the_running_pipeline(&browser.unwrap());
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![test.with_ignored_flag(!is_here)]).exit_code()
}

/// A browser that can be started.
fn browser() -> Option<PathBuf> {
    let named = std::env::var_os(VARIABLE).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let usual = NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    named.into_iter().chain(usual).find(|program| {
        let version = Command::new(program).arg("--version").stderr(Stdio::null()).output();
        version.is_ok_and(|output| output.status.success())
    })
}

fn the_live_page_shows_the_running_pipeline(browser: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/filter/modules");
    for module in ["enrich.wat", "trap.wat"] {
        let wasm = wat::parse_file(modules.join(module)).unwrap();
        std::fs::write(dir.path().join(module), wasm).unwrap();
    }
    std::fs::write(dir.path().join("agent.conf"), CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(dir.path());
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let mut program = Program::start(&mut command);
    let line = program.line_with("tcp_port=").unwrap();
    let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    let before = settled(port);

    let shots = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("live-page");
    std::fs::create_dir_all(&shots).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let look = |name: &str, arguments: &[&str]| {
        let shot = shots.join(name);
        let _ = std::fs::remove_file(&shot);
        let page = render(browser, &dir.path().join("browser"), &shot, &url, arguments);
        let bytes = std::fs::read(&shot).unwrap();
        assert!(bytes.starts_with(b"\x89PNG"), "{}", shot.display());
        println!("live page: {}", shot.display());
        page
    };
    let page = look("wide.png", &["--window-size=1280,1000"]);
    look("narrow.png", &["--window-size=500,2400"]);
    look("dark.png", &["--window-size=1280,1000", "--force-dark-mode"]);

    for (node, key, exact) in [
        ("inputs/audit", "records", 300),
        ("inputs/broken", "records", 7),
        ("filters/traps", "records", 0),
        ("filters/traps", "dropped", 7),
        ("filters/traps", "errors", 7),
        ("filters/traps", "trap", 7),
        ("outputs/siem", "records", 0),
        ("outputs/siem", "waiting", 300),
        ("outputs/siem", "dropped", 0),
    ] {
        assert_eq!(figure(&page, node, key), exact, "{node} {key}");
    }
    // What goes on goes on while one looks.
    for (kind, name) in [("inputs", "requests"), ("filters", "enrich"), ("outputs", "archive")] {
        let earlier = told(&before, kind, name)["records"].as_u64().unwrap();
        let shown = figure(&page, &format!("{kind}/{name}"), "records");
        assert!(shown > earlier, "{name}: {shown} after {earlier}");
    }
    assert!(rate(&page, "inputs/requests").ends_with(" records/s"));
    assert_ne!(rate(&page, "inputs/requests"), "- records/s");
    assert!(page.contains("running for "), "{page}");
    program.signal("TERM");
    program.signal("TERM");
    program.finish();
}

/// The pipeline as the agent tells it, when all that has an end has come to it.
fn settled(port: u16) -> Value {
    loop {
        let now: Value = serde_json::from_str(&get(port, "/api/v1/pipeline", "").body).unwrap();
        let number = |kind, name, key: &str| told(&now, kind, name)[key].as_u64().unwrap();
        if number("outputs", "siem", "pending") == 300
            && number("filters", "traps", "errors") == 7
            && number("outputs", "archive", "records") > 300
        {
            return now;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn told<'v>(pipeline: &'v Value, kind: &str, name: &str) -> &'v Value {
    pipeline[kind].as_array().unwrap().iter().find(|node| node["name"] == name).unwrap()
}

/// Opens the page, lets its clock run for some seconds, takes a screenshot; the page as it is then.
fn render(browser: &Path, profile: &Path, shot: &Path, url: &str, arguments: &[&str]) -> String {
    let mut child = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--hide-scrollbars", "--virtual-time-budget=30000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("--screenshot={}", shot.display()))
        .args(arguments)
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap());
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the browser hangs");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(child.wait().unwrap().success(), "the browser fails");
    reader.join().unwrap()
}

/// The card of a node, such as `inputs/audit`.
fn card<'p>(page: &'p str, node: &str) -> &'p str {
    let Some((_, card)) = page.split_once(&format!("data-node=\"{node}\"")) else {
        panic!("no card for {node} in\n{page}");
    };
    card.split_once("</article>").unwrap().0
}

/// The exact number behind a figure on a node's card.
fn figure(page: &str, node: &str, key: &str) -> u64 {
    let card = card(page, node);
    let exact = card
        .split_once(&format!("<dt>{key}</dt><dd "))
        .and_then(|(_, value)| value.split_once("title=\"")?.1.split_once('"')?.0.parse().ok());
    exact.unwrap_or_else(|| panic!("no '{key}' at {node} in\n{card}"))
}

/// The rate on a node's card, as text.
fn rate(page: &str, node: &str) -> String {
    let line = card(page, node).split_once("<p class=\"rate\">").unwrap().1;
    let line = line.split_once("</p>").unwrap().0;
    let text = line.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    text.collect()
}
