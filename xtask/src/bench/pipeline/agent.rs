//! The agents that take part, and how each is asked to do a work.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::sent::Sent;
use super::works::{FILTERS, Filter, Work};
use crate::bench::programs;
use crate::run::{output, root};

/// An agent, and the folder with its filters.
pub(super) struct Agent {
    pub(super) name: &'static str,
    pub(super) program: PathBuf,
    /// What its filters are a plugin of, if they are.
    plugin: Option<PathBuf>,
    filters: Option<PathBuf>,
}

/// Ours, and the other one if it takes part: with its own filter, and with our plugin.
pub(super) fn agents(folder: &Path) -> Result<Vec<Agent>> {
    let programs = programs()?;
    let filters = Some(compile(&programs.join("flb-wamrc"), &folder.join("ours"))?);
    let program = programs.join("flb-agent");
    let ours = Agent { name: "ours", program, plugin: None, filters: filters.clone() };
    let Some(program) = env::var_os("FLUENT_BIT") else {
        println!("No other agent takes part: FLUENT_BIT names none.");
        return Ok(vec![ours]);
    };
    let program = PathBuf::from(program);
    let theirs = match env::var_os("FLB_WAMRC") {
        Some(compiler) => Some(compile(Path::new(&compiler), &folder.join("peer"))?),
        None => {
            println!("The other agent has no compiled filters: FLB_WAMRC names no compiler.");
            None
        }
    };
    let peer = Agent { name: "peer", program: program.clone(), plugin: None, filters: theirs };
    let Some(plugin) = env::var_os("FLB_PLUGIN") else {
        println!("The other agent has no plugin of ours: FLB_PLUGIN names none.");
        return Ok(vec![ours, peer]);
    };
    let plugin = Some(loadable(Path::new(&plugin), folder)?);
    Ok(vec![ours, peer, Agent { name: "plugin", program, plugin, filters }])
}

/// The plugin under the name that the other agent asks for.
fn loadable(plugin: &Path, folder: &Path) -> Result<PathBuf> {
    let file = folder.join("flb-filter_aot.so");
    fs::copy(plugin, &file).with_context(|| format!("cannot copy {}", plugin.display()))?;
    Ok(file)
}

/// Compiles all filters into a folder.
fn compile(compiler: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    for filter in FILTERS {
        let wasm = file(folder, filter, "wasm");
        fs::write(&wasm, wat::parse_file(root().join(filter.module))?)?;
        let mut command = Command::new(compiler);
        command.args(["--opt-level=3", "--size-level=3", "-o"]);
        output(command.arg(file(folder, filter, "aot")).arg(wasm))?;
    }
    Ok(folder.to_owned())
}

fn file(folder: &Path, filter: &Filter, extension: &str) -> PathBuf {
    folder.join(format!("{}.{extension}", filter.name.replace(", ", "-").replace(' ', "-")))
}

impl Agent {
    /// Whether it can do this work.
    pub(super) fn can(&self, work: &Work) -> bool {
        if work.workers.is_some() && self.name != "ours" {
            return false;
        }
        if work.filters.iter().any(|filter| filter.is_script()) {
            // What the plugin does for the other agent is no matter of scripts.
            return self.plugin.is_none();
        }
        let is_batch = |filter: &&Filter| filter.format.is_none();
        let knows_batches = self.name != "peer" || !work.filters.iter().any(is_batch);
        knows_batches && (self.filters.is_some() || work.filters.is_empty())
    }

    /// The work, with the words of the output.
    pub(super) fn command(&self, work: &Work, output: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.env_remove("HOME").env_remove("XDG_CACHE_HOME");
        // The output s3 asks as somebody.
        command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench");
        self.plugin.iter().for_each(|plugin| {
            command.arg("-e").arg(plugin);
        });
        command.arg("-q").arg("-R").arg(root().join("tests/bench/parsers.conf"));
        match work.sent {
            Some(sent) => receive(&mut command, work, sent),
            None => read(&mut command, work),
        }
        for filter in &work.filters {
            if filter.is_script() {
                command.args(["-F", "lua", "-m", "*", "-p"]);
                command.arg(format!("script={}", root().join(filter.module).display()));
                command.arg("-p").arg(format!("call={}", filter.function));
                continue;
            }
            let module = file(self.filters.as_deref().unwrap_or(Path::new("")), filter, "aot");
            let name = if self.plugin.is_some() { "aot" } else { "wasm" };
            command.args(["-F", name, "-m", "*", "-p"]);
            command.arg(format!("wasm_path={}", module.display()));
            command.arg("-p").arg(format!("function_name={}", filter.function));
            if let Some(format) = filter.format {
                command.arg("-p").arg(format!("event_format={format}"));
            }
            // Room for the longest record.
            command.args(["-p", "wasm_heap_size=900k"]);
            if filter.name == "say" && self.name != "peer" {
                command.args(["-p", "guest_output=inherit"]);
            }
        }
        for native in &work.natives {
            command.args(["-F", native.name, "-m", "*"]);
            for property in &native.properties {
                command.arg("-p").arg(property);
            }
        }
        command.args(["-o", output[0], "-m", "*"]);
        output[1..].iter().for_each(|property| {
            command.args(["-p", property]);
        });
        command
    }
}

/// The work's lines, from its files.
fn read(command: &mut Command, work: &Work) {
    for file in &work.files {
        command.args(["-i", "tail", "-p"]).arg(format!("path={}", file.display()));
        work.tag.iter().for_each(|tag| {
            command.args(["-t", tag]);
        });
        work.workers.iter().for_each(|workers| {
            command.args(["-p", "workers_by=turn", "-p"]).arg(format!("workers={workers}"));
        });
        // Room for the longest line.
        for property in [work.reading, "read_from_head=on", "exit_on_eof=on", "buffer_max_size=1M"]
        {
            command.args(["-p", property]);
        }
    }
}

/// The work's lines, from a client.
fn receive(command: &mut Command, work: &Work, sent: Sent) {
    match sent.mode {
        "otlp" => {
            command.args(["-i", "opentelemetry", "-p", "listen=127.0.0.1"]);
        }
        mode => {
            command.args(["-i", "syslog", "-p", "listen=127.0.0.1", "-p", work.reading]);
            command.arg("-p").arg(format!("mode={mode}"));
        }
    }
    command.arg("-p").arg(format!("port={}", sent.port));
}
