//! From the command line to a pipeline: reads the configuration, sets the log up, builds, and shows what was found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flb_config::{Diagnostic, Disk, Document, FileKind, Files, Variables, read_file};
use flb_pipeline::{
    Blueprint, Findings, HttpSettings, Instance, LogLevel, Pipeline, Role, Settings,
    read_parsers_files,
};

use crate::command_line::CommandLine;
use crate::effective;
use crate::exit;
use crate::logging::Log;

/// The environment variable that beats every other log level.
const LOG_LEVEL: &str = "FLB_LOG_LEVEL";

/// Why there is no pipeline. Everything there is to say has been said.
pub(crate) struct Refused {
    /// The exit code.
    pub(crate) code: u8,
}

/// A configuration that was read, with what there is to say about it so far.
struct Configuration {
    document: Document,
    variables: Variables,
    settings: Settings,
    folder: Option<PathBuf>,
    findings: Findings,
}

/// Reads the configuration and builds what it says.
pub(crate) fn build(
    line: &CommandLine,
    environment: BTreeMap<String, String>,
    log: &Log,
) -> Result<(Pipeline, HttpSettings), Refused> {
    let forced_level = forced_level(&environment);
    let set_log = |settings: &Settings, findings: &mut Findings| {
        let level = forced_level.or(settings.log_level).unwrap_or_else(|| line.log_level());
        log.set_level(level, None);
        log.set_format(settings.log_format);
        if let Some(path) = &settings.log_file {
            open_log(log, path, findings);
        }
        level
    };
    let (read, level) = read_all(line, environment, log, set_log)?;
    let Configuration { document, variables, settings, folder, mut findings } = read;
    let blueprint = Blueprint {
        document: &document,
        variables: &variables,
        registry: &flb_plugins::REGISTRY,
        parsers: &flb_plugins::builtin_parsers(),
        multiline: &flb_plugins::builtin_multiline(),
        settings: &settings,
        config_dir: folder,
        dry_run: line.dry_run,
    };
    let Some(pipeline) = blueprint.build(&mut findings) else {
        return Err(refuse(log, &document, &findings));
    };
    show(log, &document, &findings);
    log.set_level(level, pipeline.log_level());
    Ok((pipeline, settings.http))
}

/// Reads the configuration and writes it as it takes effect.
pub(crate) fn effective(
    line: &CommandLine,
    environment: BTreeMap<String, String>,
    log: &Log,
) -> Result<String, Refused> {
    let (read, ()) =
        read_all(line, environment, log, |settings, _| log.set_format(settings.log_format))?;
    let Configuration { document, mut variables, findings, .. } = read;
    if findings.has_errors() {
        return Err(refuse(log, &document, &findings));
    }
    show(log, &document, &findings);
    for (name, value) in &document.variables {
        variables.set(name, value);
    }
    Ok(effective::yaml(&document, &variables, &flb_plugins::REGISTRY))
}

/// Reads all files. `settled` is called as soon as the service sections are read.
fn read_all<T>(
    line: &CommandLine,
    environment: BTreeMap<String, String>,
    log: &Log,
    settled: impl FnOnce(&Settings, &mut Findings) -> T,
) -> Result<(Configuration, T), Refused> {
    let code_cache = code_cache(&environment);
    let variables = Variables::new(environment, hostname(), Arc::new(Disk));
    let mut document = line.document();
    let mut findings = Findings::default();
    if let Some(path) = &line.config {
        read(&mut document, path, log, &mut findings)?;
    }
    let mut settings = Settings::read(&document, &variables, &mut findings);
    settings.code_cache = settings.code_cache.or(code_cache);
    let done = settled(&settings, &mut findings);
    let folder = line.config.as_deref().and_then(folder);
    if !read_parsers_files(&mut document, &settings, folder.as_deref(), &Disk, &mut findings) {
        return Err(refuse(log, &document, &findings));
    }
    Ok((Configuration { document, variables, settings, folder, findings }, done))
}

fn read(
    document: &mut Document,
    path: &Path,
    log: &Log,
    findings: &mut Findings,
) -> Result<(), Refused> {
    let before = document.sources().len();
    findings.config.extend(read_file(document, path, FileKind::Main, &Disk));
    if document.sources().len() == before {
        show(log, document, findings);
        tracing::error!("could not open configuration file, aborting.");
        return Err(Refused { code: exit::CONFIG });
    }
    if findings.config.has_errors() {
        return Err(refuse(log, document, findings));
    }
    Ok(())
}

/// Where the configuration file is, unless it is in the working directory.
fn folder(config: &Path) -> Option<PathBuf> {
    config.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned)
}

fn forced_level(environment: &BTreeMap<String, String>) -> Option<LogLevel> {
    let text = environment.get(LOG_LEVEL).filter(|text| !text.is_empty())?;
    match LogLevel::parse(text) {
        Ok(level) => Some(level),
        Err(error) => {
            tracing::warn!("{LOG_LEVEL} is ignored: {error}");
            None
        }
    }
}

/// Where compiled code is kept unless the configuration says: the user's cache folder, if there is one.
fn code_cache(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let folder =
        |name: &str| environment.get(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
    cache.map(|cache| cache.join("flb-agent"))
}

fn hostname() -> Option<String> {
    let text = Disk.read(Path::new("/proc/sys/kernel/hostname")).ok()?;
    Some(text.trim_end().to_owned()).filter(|name| !name.is_empty())
}

fn open_log(log: &Log, path: &Path, findings: &mut Findings) {
    if let Err(error) = log.set_file(path) {
        let message = format!("cannot open the log file '{}': {error}", path.display());
        findings.config.push(Diagnostic::error(message));
    }
}

/// Says everything, and why that is the end.
fn refuse(log: &Log, document: &Document, findings: &Findings) -> Refused {
    show(log, document, findings);
    if findings.config.has_errors() {
        tracing::error!("configuration file contains errors, aborting.");
        return Refused { code: exit::CONFIG };
    }
    let mut roles = Vec::new();
    for instance in &findings.failed {
        let help = format!("try the command: flb-agent {} -h", open_option(instance));
        tracing::error!(help, "Failed initialize {} {}", instance.role, instance.name);
        if !roles.contains(&instance.role) {
            roles.push(instance.role);
        }
    }
    for role in roles {
        tracing::error!("[engine] {role} initialization failed");
    }
    Refused { code: exit::START }
}

/// The option that opens a section of this instance's plugin.
fn open_option(instance: &Instance) -> String {
    let option = match instance.role {
        Role::Input => "-i",
        Role::Filter | Role::Processor => "-F",
        Role::Output => "-o",
    };
    format!("{option} {}", instance.plugin)
}

/// Shows what was found.
fn show(log: &Log, document: &Document, findings: &Findings) {
    for diagnostics in [&findings.config, &findings.start] {
        log.show(diagnostics, document);
    }
}
