//! The steps of a case: agents that are started, fed and ended.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use flb_testkit::kubernetes::Cluster;
use flb_testkit::stub::Stub;
use flb_testkit::{Program, Run};
use libtest_mimic::Failed;

use crate::receiver::Receiver;

/// Longer than anything here takes, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What agents say at every end.
const USUAL: [&str; 2] = ["caught signal", "service will shutdown"];

/// A case under way.
pub(crate) struct World {
    folder: PathBuf,
    syntax: &'static str,
    variables: BTreeMap<String, String>,
    agents: BTreeMap<String, Program>,
    receivers: Vec<Receiver>,
    servers: Vec<Stub>,
    /// What agents may complain about.
    excuses: Vec<Excuse>,
}

/// A complaint that belongs to the case.
struct Excuse {
    agent: String,
    text: String,
    is_used: bool,
}

impl World {
    pub(crate) fn new(folder: &Path, syntax: &'static str, examples: &Path) -> Self {
        let examples = ("EXAMPLES".to_owned(), examples.display().to_string());
        Self {
            folder: folder.to_owned(),
            syntax,
            variables: BTreeMap::from([examples]),
            agents: BTreeMap::new(),
            receivers: Vec::new(),
            servers: Vec::new(),
            excuses: Vec::new(),
        }
    }

    /// Takes one step.
    pub(crate) fn take(&mut self, step: &str) -> Result<(), Failed> {
        let (verb, rest) = step.split_once(' ').ok_or_else(|| format!("no step: {step}"))?;
        let words: Vec<&str> = rest.split_whitespace().collect();
        let text = || rest.split_once(' ').map_or("", |(_, text)| text);
        match (verb, words.as_slice()) {
            ("port", [name]) => self.set(name, &free_port().to_string()),
            ("env", [name, ..]) => self.set(name, text()),
            ("receiver", [name]) => {
                let receiver = Receiver::start(name, &self.folder);
                self.set(name, &receiver.port.to_string());
                self.receivers.push(receiver);
            }
            ("cluster", [name, folder, token]) => {
                let server = cluster(&self.folder.join(folder), token)?.api_server();
                self.set(name, &server.port().to_string());
                self.servers.push(server);
            }
            ("start", [agent]) => self.start(agent, None),
            ("start", [agent, "<", file]) => self.start(agent, Some(file)),
            ("until", [agent, ..]) => {
                if !self.agent(agent)?.wait_for(text()) {
                    return Err(format!("{agent} ends without '{}'", text()).into());
                }
            }
            ("lines", [name, count]) => self.lines(name, count.parse()?)?,
            ("post", [name, path, kind, file, status]) => {
                self.post([name, path, kind, file, status])?;
            }
            ("send", [name, file]) => {
                let mut connection = TcpStream::connect(("127.0.0.1", self.port(name)?))?;
                connection.write_all(&fs::read(self.folder.join(file))?)?;
            }
            ("append", [file, from]) => {
                let mut to =
                    OpenOptions::new().append(true).create(true).open(self.folder.join(file))?;
                io::copy(&mut File::open(self.folder.join(from))?, &mut to)?;
            }
            ("rotate", [file]) => {
                fs::rename(self.folder.join(file), self.folder.join(format!("{file}.1")))?;
            }
            ("signal", [agent, name]) => self.agent(agent)?.signal(name),
            ("warns", [agent, ..]) => {
                let (agent, text) = ((*agent).to_owned(), text().to_owned());
                self.excuses.push(Excuse { agent, text, is_used: false });
            }
            ("ends", [agent, code]) => self.ends(agent, code.parse()?)?,
            _ => return Err(format!("no step: {step}").into()),
        }
        Ok(())
    }

    /// Nobody is left, and nothing was expected in vain.
    pub(crate) fn end(self) -> Result<(), Failed> {
        if let Some(agent) = self.agents.keys().next() {
            return Err(format!("{agent} is not ended").into());
        }
        let unused = self.excuses.iter().find(|excuse| !excuse.is_used);
        if let Some(Excuse { agent, text, .. }) = unused {
            return Err(format!("{agent} does not say '{text}'").into());
        }
        self.receivers.into_iter().for_each(Receiver::end);
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    fn agent(&mut self, name: &str) -> Result<&mut Program, Failed> {
        self.agents.get_mut(name).ok_or_else(|| format!("{name} does not run").into())
    }

    fn start(&mut self, agent: &str, input: Option<&str>) {
        // The standard output is a file, so that it can be looked at meanwhile; what is fed comes from one.
        let script =
            format!("exec \"$0\" \"$@\" < {} >> {agent}.out", input.unwrap_or("/dev/null"));
        let mut command = Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_flb-agent")]);
        command.args(["-c", &format!("{agent}.{}", self.syntax)]).current_dir(&self.folder);
        for variable in ["FLB_LOG_LEVEL", "HOME", "XDG_CACHE_HOME"] {
            command.env_remove(variable);
        }
        command.envs(&self.variables);
        self.agents.insert(agent.to_owned(), Program::start(&mut command));
    }

    fn ends(&mut self, agent: &str, code: i32) -> Result<(), Failed> {
        let program = self.agents.remove(agent).ok_or_else(|| format!("{agent} does not run"))?;
        let Run { code: found, stderr, .. } = program.finish();
        let complaints = |line: &&str| line.contains("[error]") || line.contains("[ warn]");
        for line in stderr.lines().filter(complaints) {
            let fits = |excuse: &&mut Excuse| excuse.agent == agent && line.contains(&excuse.text);
            match self.excuses.iter_mut().find(fits) {
                Some(excuse) => excuse.is_used = true,
                None if USUAL.iter().any(|text| line.contains(text)) => {}
                None => return Err(format!("{agent} says: {line}\nin\n{stderr}").into()),
            }
        }
        if found != Some(code) {
            return Err(format!("{agent} ends with {found:?}:\n{stderr}").into());
        }
        Ok(())
    }

    fn lines(&self, name: &str, count: usize) -> Result<(), Failed> {
        let is_agent = self.agents.contains_key(name);
        let path = self.folder.join(if is_agent { format!("{name}.out") } else { name.to_owned() });
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = fs::read(&path).unwrap_or_default();
            let found = text.iter().filter(|byte| **byte == b'\n').count();
            if found >= count {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("{found} of {count} lines in {}", path.display()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn post(&self, [name, path, kind, file, status]: [&str; 5]) -> Result<(), Failed> {
        let body = fs::read(self.folder.join(file))?;
        let mut connection = TcpStream::connect(("127.0.0.1", self.port(name)?))?;
        let length = body.len();
        write!(connection, "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")?;
        write!(connection, "Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")?;
        connection.write_all(&body)?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        match answer.strip_prefix("HTTP/1.1 ").is_some_and(|rest| rest.starts_with(status)) {
            true => Ok(()),
            false => Err(format!("{path} is answered with {answer}").into()),
        }
    }

    fn port(&self, name: &str) -> Result<u16, Failed> {
        let port = self.variables.get(name).ok_or_else(|| format!("no port is called {name}"))?;
        Ok(port.parse()?)
    }
}

/// A cluster with the pods of a folder: `NAMESPACE_POD.json`, as the API tells them.
fn cluster(folder: &Path, token: &str) -> Result<Cluster, Failed> {
    let cluster = Cluster::new(token);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (namespace, pod) = name.split_once('_').ok_or_else(|| format!("{name} is no pod"))?;
        cluster.put_pod(namespace, pod, &fs::read_to_string(&path)?);
    }
    Ok(cluster)
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
