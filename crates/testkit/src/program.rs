//! A program under test: started, listened to, sent a signal, waited for. It must not hang.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Longer than any program here is silent, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program at work, with nothing on its standard input.
#[derive(Debug)]
pub struct Program {
    child: Child,
    stdout: JoinHandle<Vec<u8>>,
    /// Lines of standard error that nobody has looked at yet.
    lines: Receiver<String>,
    stderr: String,
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

impl Program {
    /// Starts a program.
    pub fn start(command: &mut Command) -> Self {
        // Tests know no proxies but their own.
        for name in ["HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).unwrap();
            bytes
        });
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

    /// Waits for the end.
    pub fn finish(mut self) -> Run {
        while self.next_line().is_some() {}
        let code = self.child.wait().unwrap().code();
        let stdout = String::from_utf8_lossy(&self.stdout.join().unwrap()).into_owned();
        Run { code, stdout, stderr: self.stderr }
    }
}
