//! The live page of a running pipeline, in a real browser: headless Chromium, where there is one. Else the tests are shown as
//! ignored. Pictures stay in the target folder.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::print_stdout,
    reason = "whoever runs the tests wants to know where the pictures are"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use flb_testkit::{BROWSER, Browser, Display, Program, get};
use libtest_mimic::{Arguments, Trial};
use serde_json::Value;

/// All inputs but the first have an end, so their numbers are known. One output is not there.
const CONFIG: &str = "\
[SERVICE]
    Flush           0.1
    HTTP_Server     on
    HTTP_Listen     127.0.0.1
    HTTP_Port       0
    HTTP_Tap        on
    Scheduler.Base  600
[INPUT]
    Name       dummy
    Alias      requests
    Tag        requests
    Rate       200
    Dummy      {\"path\":\"/index.html\",\"status\":200,\"token\":\"hush\"}
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
    Match  requests
[OUTPUT]
    Name         http
    Alias        siem
    Match        audit
    Host         127.0.0.1
    Port         1
    HTTP_User    me
    HTTP_Passwd  hush
    Retry_Limit  no_limits
    Log_Level    off
";

const DESK: Display = Display { width: 1280, height: 900, is_dark: false };
const PHONE: Display = Display { width: 390, height: 844, is_dark: false };

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let browser = Browser::find();
    let is_here = browser.is_some();
    if !is_here {
        println!(
            "live page: SKIPPED, there is no Chromium; install one, or name it in the variable {BROWSER}"
        );
    }
    let test = Trial::test("the_live_page_says_what_is_wrong_now", move || {
        the_live_page_says_what_is_wrong_now(&browser.unwrap());
        Ok(())
    });
    libtest_mimic::run(&arguments, vec![test.with_ignored_flag(!is_here)]).exit_code()
}

fn the_live_page_says_what_is_wrong_now(browser: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let (program, port) = start(dir.path());
    settled(port);
    let mut page = Page::open(browser, &dir.path().join("browser"), port);
    page.tells_what_is_wrong();
    page.tells_rates_of_the_last_minute();
    page.draws_the_ways_that_tags_take();
    page.works_by_keyboard();
    page.shows_a_record_before_and_after();
    page.fits_a_phone();
    page.is_dark_where_that_is_liked();
    page.has_names_for_who_does_not_see_it();
    drop(page);
    program.signal("TERM");
    program.signal("TERM");
    program.finish();
}

/// The agent in a folder, and its port.
fn start(folder: &Path) -> (Program, u16) {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/filter/modules");
    for module in ["enrich.wat", "trap.wat"] {
        let wasm = wat::parse_file(modules.join(module)).unwrap();
        std::fs::write(folder.join(module), wasm).unwrap();
    }
    std::fs::write(folder.join("agent.conf"), CONFIG).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    command.args(["-c", "agent.conf"]).current_dir(folder);
    command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
    let mut program = Program::start(&mut command);
    let line = program.line_with("tcp_port=").unwrap();
    let port = line.trim_end().rsplit('=').next().unwrap().parse().unwrap();
    (program, port)
}

/// Waits until all that has an end has come to it.
fn settled(port: u16) {
    loop {
        let now: Value = serde_json::from_str(&get(port, "/api/v1/pipeline", "").body).unwrap();
        let number = |kind: &str, name: &str, key: &str| {
            let nodes = now[kind].as_array().unwrap();
            nodes.iter().find(|node| node["name"] == name).unwrap()[key].as_u64().unwrap()
        };
        if number("outputs", "siem", "pending") == 300
            && number("filters", "traps", "errors") == 7
            && number("outputs", "archive", "records") > 300
        {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The page in the browser.
struct Page {
    browser: Browser,
    pictures: PathBuf,
}

impl Page {
    fn open(program: &Path, profile: &Path, port: u16) -> Self {
        let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("live-page");
        std::fs::create_dir_all(&pictures).unwrap();
        let mut browser = Browser::start(program, profile);
        browser.ask("Page.enable", &serde_json::json!({}));
        // Whatever goes wrong in the page's script, or is kept from it, is the test's business.
        let listen = "window.mistakes = []; addEventListener('error', (event) => mistakes.push(event.message)); \
            addEventListener('unhandledrejection', (event) => mistakes.push(String(event.reason))); \
            document.addEventListener('securitypolicyviolation', (event) => mistakes.push(event.violatedDirective));";
        browser
            .ask("Page.addScriptToEvaluateOnNewDocument", &serde_json::json!({"source": listen}));
        browser.show_on(DESK);
        browser.open(&format!("http://127.0.0.1:{port}/"));
        browser.wait_until("document.querySelectorAll('article').length === 7");
        browser.wait_until("document.querySelectorAll('#problems li').length === 2");
        Self { browser, pictures }
    }

    fn text(&mut self, selector: &str) -> String {
        let expression = format!("document.querySelector('{selector}').innerText");
        self.browser.evaluate(&expression).as_str().unwrap().to_owned()
    }

    fn picture(&mut self, name: &str) {
        let path = self.pictures.join(name);
        std::fs::write(&path, self.browser.picture()).unwrap();
        println!("live page: {}", path.display());
        assert_eq!(self.browser.evaluate("mistakes.join()"), "", "the script");
    }

    fn tells_what_is_wrong(&mut self) {
        assert_eq!(self.text("#verdict"), "✕ 2 things are wrong now");
        let first = self.text("#problems li:first-child");
        assert!(first.starts_with("✕ down: output siem has taken nothing for "), "{first}");
        assert!(
            first.contains(": 1 try has failed, next try in ") && first.contains(" min"),
            "{first}"
        );
        assert!(first.contains("onnect"), "why: {first}");
        let second = self.text("#problems li:last-child");
        assert!(
            second.starts_with("▲ failing: filter traps failed 7 times in the last "),
            "{second}"
        );
        assert!(second.contains("(7 trap): 7 dropped"), "{second}");
        let bad = "getComputedStyle(document.querySelector('#problems li span')).color";
        assert_eq!(self.browser.evaluate(bad), "rgb(179, 32, 44)");
        self.picture("wide.png");
    }

    fn tells_rates_of_the_last_minute(&mut self) {
        for (node, key, count) in [
            ("filters/traps", "errors", 7),
            ("filters/traps", "trap", 7),
            ("filters/traps", "dropped by failure", 7),
            ("outputs/siem", "waiting", 300),
        ] {
            let row = format!(
                "[...document.querySelectorAll('[data-node=\"{node}\"] dt')].find((dt) => dt.textContent === '{key}').nextSibling"
            );
            assert_eq!(
                self.browser.evaluate(&format!("+{row}.dataset.count")),
                count,
                "{node} {key}"
            );
            if key != "waiting" {
                let rate = self.browser.evaluate(&format!("{row}.textContent"));
                assert!(rate.as_str().unwrap().ends_with("/s"), "{node} {key}: {rate}");
            }
        }
        assert_eq!(self.text("[data-node=\"filters/traps\"] .state"), "▲ failing");
        assert_eq!(self.text("[data-node=\"inputs/requests\"] .state"), "");
        self.browser.wait_until("parseFloat(document.querySelector('[data-node=\"inputs/requests\"] .rate').innerText) > 100");
    }

    fn draws_the_ways_that_tags_take(&mut self) {
        let ways = self.browser.evaluate(
            "[...document.querySelectorAll('article')].map((card) => card.dataset.node + ' ' + card.querySelector('.ways').textContent).join('\\n')",
        );
        let expected = "\
inputs/requests to enrich\ninputs/audit to siem\ninputs/broken to traps\nfilters/enrich to archive\nfilters/traps \noutputs/archive \noutputs/siem ";
        assert_eq!(ways, expected);
        assert_eq!(self.browser.evaluate("document.querySelectorAll('#edges path').length"), 4);
        assert_eq!(self.browser.evaluate("document.querySelectorAll('#edges .bad').length"), 1);
    }

    fn works_by_keyboard(&mut self) {
        let focused = "document.activeElement.textContent";
        // The way to the pipeline, the two problems, then the nodes.
        for expected in ["To the pipeline", "siem", "traps", "requests", "audit"] {
            self.browser.press("Tab");
            assert_eq!(self.browser.evaluate(focused), expected);
        }
        self.browser
            .evaluate("document.querySelector('[data-node=\"outputs/siem\"] button').focus()");
        self.browser.press("Enter");
        self.browser.wait_until("document.querySelector('#node').open && document.querySelectorAll('#node-options dt').length > 5");
        assert_eq!(self.browser.evaluate("location.hash"), "#outputs/siem");
        let options = self.text("#node-options");
        assert!(options.contains("http_passwd\n********"), "{options}");
        assert!(!options.contains("hush") && options.contains("tls\noff (default)"), "{options}");
        self.browser.wait_until("document.querySelectorAll('#node-errors li pre').length > 0");
        let errors = self.text("#node-errors");
        assert!(errors.contains("△ warning"), "{errors}");
        self.picture("node.png");
        self.browser.press("Escape");
        self.browser.wait_until("!document.querySelector('#node').open");
        assert_eq!(self.browser.evaluate(focused), "siem", "back where it was opened");
        assert_eq!(self.browser.evaluate("location.hash"), "");
    }

    fn shows_a_record_before_and_after(&mut self) {
        self.browser.evaluate("location.hash = '#filters/enrich'");
        self.browser.wait_until("document.querySelectorAll('#node-sample pre').length === 2");
        let sample = self.text("#node-sample");
        assert!(sample.starts_with("changed"), "{sample}");
        assert!(sample.contains("\"token\": \"********\"") && !sample.contains("hush"), "{sample}");
        let added = self.browser.evaluate("[...document.querySelectorAll('#node-sample ins')].map((line) => line.textContent).join()");
        assert!(added.as_str().unwrap().contains("+ "), "{added}");
        self.picture("record.png");
        self.browser.evaluate("document.querySelector('#close').click()");
        self.browser.evaluate("location.hash = '#filters/traps'");
        self.browser.wait_until("document.querySelectorAll('#node-errors li pre').length > 0");
        let errors = self.text("#node-errors");
        assert!(errors.contains("▲ error") && errors.contains("unreachable"), "{errors}");
        self.browser.evaluate("document.querySelector('#close').click()");
    }

    fn fits_a_phone(&mut self) {
        self.browser.show_on(PHONE);
        self.browser.wait_until("document.documentElement.clientWidth === 390");
        assert_eq!(self.browser.evaluate("document.documentElement.scrollWidth"), 390);
        assert_eq!(self.text("[data-node=\"inputs/audit\"] .ways"), "to siem");
        self.picture("phone.png");
        self.browser.show_on(DESK);
    }

    fn is_dark_where_that_is_liked(&mut self) {
        self.browser.show_on(Display { is_dark: true, ..DESK });
        self.browser
            .wait_until("getComputedStyle(document.body).backgroundColor === 'rgb(14, 18, 23)'");
        self.picture("dark.png");
    }

    /// What a screen reader gets.
    fn has_names_for_who_does_not_see_it(&mut self) {
        let tree = self.browser.ask("Accessibility.getFullAXTree", &serde_json::json!({}));
        let nodes = tree["nodes"].as_array().unwrap();
        let named = |role: &str| -> Vec<&str> {
            let of_role = nodes
                .iter()
                .filter(|node| node["role"]["value"] == role && node["ignored"] == false);
            of_role.filter_map(|node| node["name"]["value"].as_str()).collect()
        };
        assert_eq!(named("main"), ["Pipeline"]);
        let headings = named("heading");
        for expected in ["✕ 2 things are wrong now", "Inputs", "Filters, in this order", "Outputs"]
        {
            assert!(headings.contains(&expected), "{headings:?}");
        }
        let buttons = named("button");
        assert!(buttons.len() == 9 && !buttons.contains(&""), "{buttons:?}");
        assert!(named("image").iter().all(|name| !name.is_empty()), "{:?}", named("image"));
    }
}
