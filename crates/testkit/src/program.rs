//! A program under test: started, listened to, sent a signal, waited for. It must not hang.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Longer than any program here is silent, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program at work.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: Printed,
    /// Lines of standard error that nobody has looked at yet.
    lines: Receiver<String>,
    stderr: String,
}

/// What a program prints.
#[derive(Debug)]
enum Printed {
    /// Somebody reads it.
    Read { so_far: Arc<Mutex<Vec<u8>>>, reader: JoinHandle<()> },
    /// Nobody does, so that the program has to wait when a pipe is full.
    Unread(#[expect(dead_code, reason = "it is kept open")] ChildStdout),
}

/// What a program came to.
#[derive(Debug)]
pub struct Run {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// All that it printed.
    pub stdout: String,
    /// All that it said.
    pub stderr: String,
}

impl Run {
    /// The exit code, and words that standard error has in this order.
    #[track_caller]
    pub fn check(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        let mut rest = self.stderr.as_str();
        for word in words {
            let Some(at) = rest.find(word) else { panic!("no '{word}' in\n{}", self.stderr) };
            rest = &rest[at + word.len()..];
        }
    }
}

impl Printed {
    fn read(mut stdout: ChildStdout) -> Self {
        let so_far = Arc::<Mutex<Vec<u8>>>::default();
        let into = Arc::clone(&so_far);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = stdout.read(&mut buffer) {
                into.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        Self::Read { so_far, reader }
    }

    fn text(&self) -> String {
        match self {
            Self::Read { so_far, .. } => text(so_far),
            Self::Unread(_) => String::new(),
        }
    }

    /// All of it, when the program has ended.
    fn rest(self) -> String {
        let Self::Read { so_far, reader } = self else { return String::new() };
        reader.join().unwrap();
        text(&so_far)
    }
}

fn text(bytes: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
}

impl Program {
    /// Starts a program, with nothing on its standard input.
    pub fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()), Printed::read)
    }

    /// Starts a program that is to be [written](Self::write) to.
    pub fn start_fed(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::piped()), Printed::read)
    }

    /// The same, and nobody reads what the program prints.
    pub fn start_unread(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::piped()), Printed::Unread)
    }

    fn spawn(command: &mut Command, printed: fn(ChildStdout) -> Printed) -> Self {
        // Tests know no proxies but their own.
        for name in ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stdout = printed(child.stdout.take().unwrap());
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self { child, stdout, lines, stderr: String::new() }
    }

    /// Waits for a line on standard error that has `text` in it. False if the program ends without one.
    pub fn wait_for(&mut self, text: &str) -> bool {
        self.line_with(text).is_some()
    }

    /// As [`Program::wait_for`], with the line.
    pub fn line_with(&mut self, text: &str) -> Option<String> {
        while let Some(line) = self.next_line() {
            if line.contains(text) {
                return Some(line);
            }
        }
        None
    }

    /// Waits until the program has printed this text.
    #[track_caller]
    pub fn wait_for_output(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stdout.text().contains(text) {
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                panic!("'{text}' does not come");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Writes to a program that was started to be written to.
    pub fn write(&mut self, text: &str) {
        self.child.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.stderr.push_str(&line);
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => {
                self.child.kill().unwrap();
                panic!("the program hangs:\n{}", self.stderr);
            }
        }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, by its name without `SIG`.
    pub fn signal(&self, name: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// Asks for the end and waits for it.
    pub fn terminate(self) -> Run {
        self.signal("TERM");
        self.finish()
    }

    /// Closes the standard input and waits for the end.
    pub fn finish(mut self) -> Run {
        drop(self.child.stdin.take());
        while self.next_line().is_some() {}
        let code = self.child.wait().unwrap().code();
        Run { code, stdout: self.stdout.rest(), stderr: self.stderr }
    }
}
