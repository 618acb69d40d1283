//! A real browser, headless Chromium, led by its debugging protocol over two pipes: for tests of pages and for pictures of them.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

/// Names the browser, if it is not on the `PATH` by one of the usual names.
pub const VARIABLE: &str = "CHROMIUM";
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A start of the browser may take this long on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// The protocol is read from 3 and written to 4, which a shell makes of the standard streams.
const PIPES: &str = "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// A browser at work, with one page.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    to: ChildStdin,
    answers: Receiver<Value>,
    asked: u64,
    session: Option<String>,
}

/// What a page is shown on.
#[derive(Debug, Clone, Copy)]
pub struct Display {
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Whether it prefers dark pages.
    pub is_dark: bool,
}

impl Browser {
    /// One that can be started, if there is any.
    pub fn find() -> Option<PathBuf> {
        let named = std::env::var_os(VARIABLE).map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let usual =
            NAMES.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        named.into_iter().chain(usual).find(|program| {
            let version = Command::new(program).arg("--version").stderr(Stdio::null()).output();
            version.is_ok_and(|output| output.status.success())
        })
    }

    /// Starts it, with what it remembers in this folder.
    pub fn start(program: &Path, profile: &Path) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", PIPES, "sh"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--disable-quic", "--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync", "--hide-scrollbars"])
            .args(["--lang=en", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut message = Vec::new();
            while let Ok(1..) = from.read_until(0, &mut message) {
                let told: Value =
                    serde_json::from_slice(message.strip_suffix(&[0]).unwrap_or(&message)).unwrap();
                if told.get("id").is_some() && sender.send(told).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser = Self { child, to, answers, asked: 0, session: None };
        let page = browser.ask("Target.createTarget", &json!({"url": "about:blank"}));
        let attach = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.ask("Target.attachToTarget", &attach);
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        browser
    }

    /// Asks for something by the protocol, and waits for what it comes to.
    #[track_caller]
    pub fn ask(&mut self, method: &str, parameters: &Value) -> Value {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes()).unwrap();
        let mut answer = self.answers.recv_timeout(PATIENCE).expect("the browser answers");
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Opens a page.
    pub fn open(&mut self, url: &str) {
        self.ask("Page.navigate", &json!({"url": url}));
    }

    /// Shows the page like this.
    pub fn show_on(&mut self, display: Display) {
        let Display { width, height, is_dark } = display;
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if is_dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// What an expression in the page comes to.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let mut answer = self.ask("Runtime.evaluate", &parameters);
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression in the page is true.
    #[track_caller]
    pub fn wait_until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.evaluate(&format!("!!({expression})")) != true {
            if Instant::now() > deadline {
                let page = self.evaluate("document.body.innerText");
                panic!("{expression} does not come: {page}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            other => panic!("no code for {other}"),
        };
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            let event = json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text});
            self.ask("Input.dispatchKeyEvent", &event);
        }
    }

    /// The page as a picture, PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let shot = self.ask("Page.captureScreenshot", &json!({"format": "png"}));
        let data = shot["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD.decode(data).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It ends with its pipes, or so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
