//! Proves an image: another's tool unpacks it, and a container runtime runs it as its user, with no privileges and a root that may not be written,
//! both as it is and as Fluent Bit's Helm chart would, with a filter mounted. For another machine the emulator is mounted as well.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::layout::Platform;
use super::{CERTIFICATES, Flavour, ZONES, example};
use crate::dist::check::first_line_of;
use crate::run::{command, first_line, output, works};
use crate::toolchains;

/// The tool that unpacks, and the runtime.
const PACKAGES: &str = "umoci runc";

/// How the chart starts Fluent Bit.
const CHART: [&str; 3] = [
    "/fluent-bit/bin/fluent-bit",
    "--workdir=/fluent-bit/etc",
    "--config=/fluent-bit/etc/conf/fluent-bit.conf",
];

/// What the chart would mount there: a filter, and a time zone that the image must know.
const CONF: &str = "\
[SERVICE]
    Flush 1
    Parsers_File /fluent-bit/etc/parsers.conf
[INPUT]
    Name dummy
    Tag dummy.image
[FILTER]
    Name wasm
    Match *
    WASM_Path /filters/enrich.wasm
    Function_Name c_filter
[OUTPUT]
    Name stdout
    Match *
    Format json_lines
";

pub(super) fn run(layout: &Path, platform: &Platform, flavour: Flavour) -> Result<()> {
    if let Some(why) = obstacle() {
        println!("== check of the image: SKIPPED, {why}");
        return Ok(());
    }
    let container = Container::unpack(layout, platform, flavour)?;
    for name in [CERTIFICATES, &format!("{ZONES}/Europe/Berlin")] {
        ensure!(container.bundle.join("rootfs").join(name).exists(), "there is no {name}");
    }
    println!("ok   umoci unpacks the image, and it has certificates and time zones");
    let (user, record) = container.first_record(None)?;
    ensure!(record["cpu_p"].is_number(), "this is not a record of the CPU: {record}");
    println!("ok   runc runs it as user {user}, and it says cpu_p={}", record["cpu_p"]);
    let (_, record) = container.first_record(Some(&CHART))?;
    ensure!(record["lang"] == "C", "this has not been through the filter: {record}");
    println!("ok   it runs as Fluent Bit's chart starts it, with a filter: {record}");
    fs::remove_dir_all(container.bundle).context("cannot tidy up")
}

/// Why no container can be run here.
fn obstacle() -> Option<String> {
    let is_root = output(&mut command("id -u")).is_ok_and(|user| user.trim() == "0");
    if !is_root {
        return Some("only root can unpack the files of others".to_owned());
    }
    if !works("unshare --mount --pid --net --fork true") {
        return Some("this machine gives no namespaces".to_owned());
    }
    if works("umoci --version") && works("runc --version") {
        return None;
    }
    toolchains::install(PACKAGES).err().map(|error| format!("{error:#}"))
}

/// An unpacked image.
struct Container {
    bundle: PathBuf,
    /// How umoci would have it run.
    config: Value,
    /// The emulator's path, if there must be one.
    emulator: Option<String>,
}

impl Container {
    fn unpack(layout: &Path, platform: &Platform, flavour: Flavour) -> Result<Self> {
        let bundle = layout.with_file_name("image-check");
        if bundle.exists() {
            fs::remove_dir_all(&bundle).context("cannot remove what an earlier check left")?;
        }
        let mut unpack = command("umoci unpack --image");
        unpack.arg(format!("{}:{}", layout.display(), platform.tag()));
        output(unpack.arg(&bundle))?;
        fs::create_dir_all(bundle.join("conf"))?;
        fs::write(bundle.join("conf/fluent-bit.conf"), CONF)?;
        fs::create_dir_all(bundle.join("filters"))?;
        fs::copy(example(), bundle.join("filters/enrich.wasm"))?;
        let emulator = match flavour.runner().split_whitespace().next() {
            Some(qemu) => Some(first_line(&mut command(&format!("which {qemu}")))?),
            None => None,
        };
        let config = fs::read(bundle.join("config.json")).context("umoci writes no config.json")?;
        Ok(Self { bundle, config: serde_json::from_slice(&config)?, emulator })
    }

    /// Runs it until it says a record, and asks it to stop; who it was, and the record.
    fn first_record(&self, line: Option<&[&str]>) -> Result<(String, Value)> {
        let user = self.configure(line)?;
        let name = format!("flb-agent-{}", std::process::id());
        let mut runc = command("runc run --bundle");
        let record = first_line_of(runc.arg(&self.bundle).arg(&name), |_| {
            output(command("runc kill").args([&name, "TERM"])).map(drop)
        })?;
        let record = serde_json::from_str(&record).with_context(|| format!("no JSON: {record}"))?;
        Ok((user, record))
    }

    /// Writes down how to run it: what umoci says of the image, with nothing to be written, and what is mounted.
    fn configure(&self, line: Option<&[&str]>) -> Result<String> {
        let mut config = self.config.clone();
        config["root"]["readonly"] = true.into();
        let process = &mut config["process"];
        process["terminal"] = false.into();
        process["capabilities"] = json!({});
        process["env"]
            .as_array_mut()
            .context("there is an environment")?
            .extend(["FLB_AGENT_HTTP_PORT=0".into(), "FLB_AGENT_INTERVAL=1".into()]);
        let mut mounts = vec![
            (self.bundle.join("conf"), "/fluent-bit/etc/conf"),
            (self.bundle.join("filters"), "/filters"),
        ];
        if let Some(line) = line {
            process["args"] = json!(line);
        }
        if let Some(emulator) = &self.emulator {
            mounts.push((emulator.into(), "/emulator"));
            process["args"]
                .as_array_mut()
                .context("there are arguments")?
                .insert(0, "/emulator".into());
        }
        let user = process["user"]["uid"].to_string();
        let all = config["mounts"].as_array_mut().context("there are mounts")?;
        for (from, to) in mounts {
            // A root that may not be written has no room for a mount that it does not know.
            let place = self.bundle.join("rootfs").join(to.trim_start_matches('/'));
            match from.is_dir() {
                true => fs::create_dir_all(&place)?,
                false => fs::write(&place, "")?,
            }
            let options = ["bind", "ro"];
            all.push(
                json!({ "destination": to, "type": "bind", "source": from, "options": options }),
            );
        }
        fs::write(self.bundle.join("config.json"), config.to_string())?;
        Ok(user)
    }
}
