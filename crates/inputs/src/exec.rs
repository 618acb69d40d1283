//! `exec`: runs a command now and then, and makes a record of each line that it prints.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use flb_plugin::keys::{Bool, Key, Required, Size, Text};
use flb_plugin::{
    BoxFuture, Build, BuildError, Context, End, Input, InputError, Options, Secrecy, Spec, Table,
    keys,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::shared::clock;
use super::shared::interval;
use super::shared::printed::Printed;
use super::shared::records;
use flb_plugin::log::Label;

keys! {
    const KEYS;
    COMMAND: Required<Text> = Key::new("command", "The command, for /bin/sh")
        .required("no input 'command' was given", "add Command")
        .hiding(Secrecy::Command);
    PARSER: Option<Text> = Key::new("parser", "Parser of the lines");
    BUF_SIZE: Size = Key::new("buf_size", "Longest part of a line in a record").default("4096");
    ONESHOT: Bool = Key::new("oneshot", "Run once, at the start").default("off");
    EXIT_AFTER_ONESHOT: Bool =
        Key::new("exit_after_oneshot", "Run once, then stop the agent").default("off");
    PROPAGATE_EXIT_CODE: Bool = Key::new(
        "propagate_exit_code",
        "Then the agent exits with the command's code",
    )
    .default("off");
}

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "exec",
    about: "Run a command now and then; its lines are records",
    options: Table(&[KEYS, interval::KEYS]),
    build,
};

/// The key of a line that is not parsed.
const KEY: &str = "exec";

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let command = options.get(COMMAND)?;
    let parser = records::parser(options.get(PARSER), build)?;
    let then_exit = options.get(EXIT_AFTER_ONESHOT);
    let hands_code_on = options.get(PROPAGATE_EXIT_CODE);
    if hands_code_on && !then_exit {
        return Err(BuildError::new("propagate_exit_code needs exit_after_oneshot")
            .help("add Exit_After_Oneshot on, or take Propagate_Exit_Code out"));
    }
    Ok(Box::new(Exec {
        command: command.to_owned(),
        printed: Printed::new(Label::input("exec", build), build.tag.clone(), KEY, parser),
        interval: interval::interval(options),
        longest: options.get(BUF_SIZE).clamp(2, 1 << 30) as usize,
        once: then_exit || options.get(ONESHOT),
        then_exit,
        hands_code_on,
    }))
}

struct Exec {
    command: String,
    printed: Printed,
    interval: Duration,
    /// Most bytes of a line in one record; the rest is the next one's.
    longest: usize,
    once: bool,
    then_exit: bool,
    /// The agent exits with the command's code.
    hands_code_on: bool,
}

impl Input for Exec {
    fn ends_agent(&self) -> bool {
        self.once && self.then_exit
    }

    fn run<'a>(
        mut self: Box<Self>,
        context: &'a dyn Context,
    ) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            if self.once {
                let code = self.run_once(context).await;
                let code = if self.hands_code_on { code } else { 0 };
                return Ok(if self.then_exit { End::StopAgent { code } } else { End::Quiet });
            }
            while !clock::stopped_within(context, self.interval).await {
                self.run_once(context).await;
            }
            Ok(End::Quiet)
        })
    }
}

impl Exec {
    /// Runs the command to its end, or until the input shall stop; then the command is killed. The code that a shell would tell
    /// of it.
    async fn run_once(&mut self, context: &dyn Context) -> u8 {
        let started = Command::new("/bin/sh")
            .args(["-c", &self.command])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = match started {
            Ok(child) => child,
            Err(error) => {
                self.printed.complain(&format!("cannot run /bin/sh: {error}"));
                return NOT_RUN;
            }
        };
        let Some(stdout) = child.stdout.take() else { return NOT_RUN };
        self.read(BufReader::with_capacity(self.longest, stdout), context).await;
        let waited = tokio::select! {
            biased;
            () = context.stopped() => return 0,
            waited = child.wait() => waited,
        };
        match waited {
            Ok(status) if status.success() => 0,
            Ok(status) => {
                self.printed.complain(&ended(status));
                code(status)
            }
            Err(error) => {
                self.printed.complain(&format!("the command's end is not known: {error}"));
                NOT_RUN
            }
        }
    }

    async fn read(
        &mut self,
        mut stdout: BufReader<impl tokio::io::AsyncRead + Unpin>,
        context: &dyn Context,
    ) {
        let mut line = Vec::new();
        // A line that was cut may end right there, and that is no empty line.
        let mut is_rest = false;
        loop {
            let read = tokio::select! {
                biased;
                () = context.stopped() => break,
                read = stdout.fill_buf() => read,
            };
            let available = match read {
                Ok(available) => available,
                Err(error) => {
                    self.printed.complain(&format!("the command's output cannot be read: {error}"));
                    break;
                }
            };
            if available.is_empty() {
                break;
            }
            let newline = memchr::memchr(b'\n', available);
            let taken = newline.unwrap_or(available.len());
            line.extend_from_slice(&available[..taken]);
            stdout.consume(taken + usize::from(newline.is_some()));
            if newline.is_none() && line.len() < self.longest {
                continue;
            }
            if !(is_rest && line.is_empty()) {
                self.printed.push(&line, context.now());
            }
            is_rest = newline.is_none();
            line.clear();
            let is_idle = stdout.buffer().is_empty();
            let batch = if is_idle { self.printed.take() } else { self.printed.full() };
            if let Some(batch) = batch
                && context.emit(batch).await.is_err()
            {
                return;
            }
        }
        if !line.is_empty() {
            self.printed.push(&line, context.now());
        }
        if let Some(batch) = self.printed.take() {
            // A closed pipeline is a stop like another.
            let _ = context.emit(batch).await;
        }
    }
}

/// A shell's code for what it cannot run.
const NOT_RUN: u8 = 126;

/// The command's own code, or 128 and the number of the signal that ended it, as shells have it.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(NOT_RUN)
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("the command exited with {code}"),
        None => format!("the command was ended: {status}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness as testing;

    /// Runs a command once, with real processes.
    fn check(options: &[(&str, &str)], expected: &[&str]) -> (End, String) {
        let scene = testing::Scene::new(1000.0);
        let input = scene.build(&SPEC, options, SPEC.build).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let end = scene.logged(|| runtime.block_on(input.run(&scene))).unwrap();
        assert_eq!(scene.bodies(), expected, "{options:?}");
        (end, scene.log())
    }

    #[test]
    fn each_line_is_a_record() {
        let (end, log) = check(
            &[("command", "printf 'one\\n\\ntwo'"), ("oneshot", "on")],
            &[r#"{"exec":"one"}"#, r#"{"exec":""}"#, r#"{"exec":"two"}"#],
        );
        assert_eq!((end, log.as_str()), (End::Quiet, ""));
    }

    #[test]
    fn lines_go_through_a_parser_and_those_that_it_refuses_stay() {
        let (_, log) = check(
            &[("command", "echo '{\"a\":1}'; echo no"), ("oneshot", "on"), ("parser", "json")],
            &[r#"{"a":1}"#, r#"{"exec":"no"}"#],
        );
        assert!(log.contains("a line is kept unparsed: 'no'"), "{log}");
    }

    #[test]
    fn a_long_line_is_cut_in_parts() {
        check(
            &[("command", "echo abcdefgh"), ("oneshot", "on"), ("buf_size", "4")],
            &[r#"{"exec":"abcd"}"#, r#"{"exec":"efgh"}"#],
        );
    }

    #[test]
    fn the_agent_stops_behind_the_only_run_and_a_bad_end_is_told() {
        let (end, log) = check(
            &[("command", "echo x; exit 3"), ("exit_after_oneshot", "on")],
            &[r#"{"exec":"x"}"#],
        );
        assert_eq!(end, End::StopAgent { code: 0 });
        assert!(log.contains("the command exited with 3"), "{log}");
    }

    #[test]
    fn the_commands_code_becomes_the_agents_if_asked_for() {
        for (command, code) in [("true", 0), ("exit 3", 3), ("kill -9 $$", 137)] {
            let given = [("exit_after_oneshot", "on"), ("propagate_exit_code", "on")];
            let (end, _) = check(&[&[("command", command)], &given[..]].concat(), &[]);
            assert_eq!(end, End::StopAgent { code }, "{command}");
        }
        let scene = testing::Scene::new(0.0);
        let alone = [("command", "true"), ("propagate_exit_code", "on")];
        let error = scene.build(&SPEC, &alone, SPEC.build).err().unwrap();
        assert_eq!(error.message, "propagate_exit_code needs exit_after_oneshot");
    }
}
