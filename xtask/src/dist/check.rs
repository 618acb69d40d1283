//! Proves a .deb: installs it into a system's folder, runs the agent as its user and as its configuration says, and removes it
//! again. Needs Debian and root; nothing outside the folder is touched.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::flavour::Flavour;
use crate::run::{command, line, output, works};

/// Longer than the agent needs for one record, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn run(deb: &Path, system: &Path, flavour: Flavour) -> Result<()> {
    if let Some(why) = obstacle()? {
        println!("== check of the .deb: SKIPPED, {why}");
        return Ok(());
    }
    let system = System::new(system, deb)?;
    system.dpkg("--install", deb.as_os_str())?;
    println!("ok   the package installs");
    system.is_whole()?;
    println!("ok   its files are as they were packed, and its user is there");
    match works("systemd-analyze --version") {
        true => {
            system.check_unit()?;
            println!("ok   systemd takes its unit");
        }
        false => println!("== unit: SKIPPED, there is no systemd-analyze"),
    }
    let record = system.first_record(&flavour.runner())?;
    println!("ok   its agent runs, says {record}, and stops when it is asked to");
    system.dpkg("--purge", "flb-agent".as_ref())?;
    system.is_clean()?;
    println!("ok   the package goes without a trace");
    fs::remove_dir_all(system.folder).context("cannot tidy up")
}

/// Why the package cannot be installed here.
fn obstacle() -> Result<Option<&'static str>> {
    if !works("dpkg --version") || !Path::new(STATUS).exists() {
        return Ok(Some("this is no Debian"));
    }
    let user = output(&mut command("id -u"))?;
    Ok((user.trim() != "0").then_some("only root can install packages"))
}

/// Starts a program, waits for the first line that it prints, and asks it to stop, which it must do without complaint.
pub(super) fn first_line_of(
    program: &mut Command,
    stop: impl FnOnce(&Child) -> Result<()>,
) -> Result<String> {
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = program.spawn().with_context(|| format!("cannot run {}", line(program)))?;
    let stdout = BufReader::new(child.stdout.take().context("there is an output")?);
    let mut stderr = child.stderr.take().context("there is an error output")?;
    let log = std::thread::spawn(move || {
        let mut text = String::new();
        // What could be read is what there is to show.
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        stdout.lines().map_while(|line| line.ok()).try_for_each(|line| sender.send(line))
    });
    let first = lines.recv_timeout(PATIENCE);
    // One that has ended by itself cannot be asked to; its log says why it did.
    if stop(&child).is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    let log = log.join().unwrap_or_default();
    let first = first.with_context(|| format!("it printed no line:\n{log}"))?;
    ensure!(status.success(), "it ends with {status}:\n{log}");
    Ok(first)
}

/// What dpkg knows of this machine.
const STATUS: &str = "/var/lib/dpkg/status";

/// A system of its own in a folder, that has what the package depends on if this machine has it.
struct System<'p> {
    folder: &'p Path,
    /// What the package brings.
    files: Vec<String>,
}

impl<'p> System<'p> {
    fn new(folder: &'p Path, deb: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).context("cannot remove what an earlier check left")?;
        }
        for name in ["etc", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
            fs::create_dir_all(folder.join(name)).context("cannot make a system")?;
        }
        for name in ["passwd", "group", "shadow", "gshadow"] {
            fs::write(folder.join("etc").join(name), "")?;
        }
        let depends = output(command("dpkg-deb --field").arg(deb).arg("Depends"))?;
        // What this machine has counts as if it were of the package's own.
        let machine = output(command("dpkg-deb --field").arg(deb).arg("Architecture"))?;
        let machine = machine.trim();
        let names = depends.split(',').filter_map(|one| one.split_whitespace().next());
        let mut status = String::new();
        for name in names {
            let mut query = command("dpkg-query --show");
            query.arg("--showformat=Package: ${Package}\nVersion: ${Version}\n");
            status += &output(query.arg(name))?;
            status += &format!("Architecture: {machine}\n");
            status += "Status: install ok installed\nMaintainer: -\nDescription: -\n\n";
            fs::write(folder.join(format!("var/lib/dpkg/info/{name}.list")), "/.\n")?;
        }
        fs::write(folder.join("var/lib/dpkg/status"), status)?;
        let contents = output(command("dpkg-deb --contents").arg(deb))?;
        let files = contents.lines().filter(|line| line.starts_with('-'));
        let names = files.filter_map(|line| Some(line.split_once(" ./")?.1.to_owned()));
        Ok(Self { folder, files: names.collect() })
    }

    fn dpkg(&self, action: &str, what: &OsStr) -> Result<()> {
        let mut command = command("dpkg --force-script-chrootless --force-architecture");
        command.arg(format!("--root={}", self.folder.display()));
        command.arg(format!("--log={}", self.folder.join("dpkg.log").display()));
        output(command.arg(action).arg(what)).map(drop)
    }

    /// An error unless all files are there as they were packed, and the user.
    fn is_whole(&self) -> Result<()> {
        for file in &self.files {
            ensure!(self.folder.join(file).exists(), "{file} is not installed");
        }
        let mut command = command("dpkg --verify");
        command.arg(format!("--root={}", self.folder.display()));
        let wrong = output(command.arg("flb-agent"))?;
        ensure!(wrong.is_empty(), "files are not as they were packed:\n{wrong}");
        self.user().map(drop)
    }

    /// The numbers of the user that the package made, and of its group.
    fn user(&self) -> Result<(u32, u32)> {
        let passwd = fs::read_to_string(self.folder.join("etc/passwd"))?;
        let line = passwd.lines().find(|line| line.starts_with("flb-agent:"));
        let fields: Vec<&str> = line.context("there is no user flb-agent")?.split(':').collect();
        Ok((fields[2].parse()?, fields[3].parse()?))
    }

    fn check_unit(&self) -> Result<()> {
        // What the unit refers to must exist in that system.
        let kill = self.folder.join("bin/kill");
        fs::create_dir_all(self.folder.join("bin"))?;
        fs::copy("/bin/kill", &kill).context("cannot copy kill")?;
        let mut command = command("systemd-analyze verify --man=no --recursive-errors=no");
        command.arg(format!("--root={}", self.folder.display()));
        let output = command.arg("flb-agent.service").output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let about_us: Vec<&str> =
            said.lines().filter(|line| line.contains("flb-agent.service")).collect();
        ensure!(output.status.success() && about_us.is_empty(), "systemd: {said}");
        Ok(())
    }

    /// Starts the agent as the unit does, waits for a record, and asks it to stop.
    fn first_record(&self, runner: &str) -> Result<String> {
        let (user, group) = self.user()?;
        // env(1) becomes what follows it: an emulator, if there is one, or the agent.
        let mut agent = command(&format!("env {runner}"));
        agent
            .arg(self.folder.join("usr/bin/flb-agent"))
            .arg("-c")
            .arg(self.folder.join("etc/flb-agent/flb-agent.conf"));
        agent.env_clear().env("FLB_AGENT_HTTP_PORT", "0").env("FLB_AGENT_INTERVAL", "1");
        agent.current_dir("/");
        agent.uid(user).gid(group);
        let record = first_line_of(&mut agent, |agent| {
            output(command("kill -s TERM").arg(agent.id().to_string())).map(drop)
        })?;
        let fields: Value = serde_json::from_str(&record).context("the record is no JSON")?;
        ensure!(fields["cpu_p"].is_number(), "this is not a record of the CPU: {record}");
        Ok(format!("cpu_p={}", fields["cpu_p"]))
    }

    fn is_clean(&self) -> Result<()> {
        for name in self.files.iter().map(String::as_str).chain(["etc/flb-agent"]) {
            ensure!(!self.folder.join(name).exists(), "{name} is left behind");
        }
        Ok(())
    }
}
