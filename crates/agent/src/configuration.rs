//! From the command line to a pipeline: reads the configuration, sets the log up, builds, and shows what was found.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flb_config::keys::{Choice, Kind as _, hide_secrets};
use flb_config::{
    Diagnostic, Disk, Document, FileKind, Files, Role, SectionKind, Variables, folders_of,
    read_file,
};
use flb_pipeline::{
    Blueprint, Findings, Instance, LogLevel, Pipeline, Settings, read_parsers_files,
};
use flb_plugin::Shared;
use flb_plugins::service::{CACHE, doubtful_trust};

use crate::command_line::CommandLine;
use crate::descriptors::Descriptors;
use crate::effective::{self, ByInstance};
use crate::exit;
use crate::logging::{self, Log};
use crate::service::{HotReload, HttpSettings, LOG_FILE, LOG_FORMAT, LOG_LEVEL, LogFormat, TABLE};

/// The environment variable that beats every other log level.
const FORCED_LEVEL: &str = "FLB_LOG_LEVEL";

/// Where configurations come from, the first one and all that follow.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    pub(crate) line: Arc<CommandLine>,
    pub(crate) environment: Arc<BTreeMap<String, String>>,
    /// What plugins keep from one configuration to the next.
    pub(crate) shared: Arc<Shared>,
    pub(crate) log: Log,
    pub(crate) descriptors: Descriptors,
}

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

/// What a configuration comes to.
pub(crate) struct Built {
    pub(crate) pipeline: Pipeline,
    pub(crate) http: HttpSettings,
    pub(crate) hot_reload: HotReload,
    /// The options of its instances, as they may be shown.
    pub(crate) options: ByInstance,
    log: LogSettings,
}

/// What a configuration says about the log.
struct LogSettings {
    level: LogLevel,
    format: LogFormat,
    file: Option<File>,
}

impl Built {
    /// Logs as this configuration says.
    pub(crate) fn set_log(&mut self, log: &Log) {
        log.set_file(self.log.file.take());
        log.set_format(self.log.format);
        log.set_level(self.log.level, self.pipeline.log_level());
    }
}

/// Where it is said what was found.
#[derive(Debug, Clone, Copy)]
enum Voice<'a> {
    /// On stderr, for whoever has started the agent. The log may be set as soon as it is known how.
    Start(&'a Log),
    /// In the log of an agent that is at work, which stays as it is.
    AtWork(&'a Log),
}

/// Reads the configuration and builds what it says.
pub(crate) fn build(origin: &Origin) -> Result<Built, Refused> {
    build_with(origin, Voice::Start(&origin.log))
}

/// The same while another pipeline is at work.
pub(crate) fn rebuild(origin: &Origin) -> Result<Built, Refused> {
    build_with(origin, Voice::AtWork(&origin.log))
}

fn build_with(origin: &Origin, voice: Voice<'_>) -> Result<Built, Refused> {
    let Origin { line, environment, shared, descriptors, log: _ } = origin;
    let forced_level = forced_level(environment);
    let settled = |settings: &Settings, findings: &mut Findings| {
        let keys = &settings.keys;
        let level = forced_level.or_else(|| keys.given(LOG_LEVEL));
        let level = level.unwrap_or_else(|| line.log_level());
        let path = keys.get(LOG_FILE).map(Path::new);
        let file = match line.dry_run {
            true => path.and_then(|path| look_at_log(path, findings)),
            false => path.and_then(|path| open_log(path, findings)),
        };
        let mut found = LogSettings { level, format: keys.get(LOG_FORMAT), file };
        if let Voice::Start(log) = voice {
            log.set_level(level, None);
            log.set_format(found.format);
            log.set_file(found.file.take());
        }
        found
    };
    let (read, log) = read_all(line, environment, voice, settled)?;
    let Configuration { document, mut variables, mut settings, folder, mut findings } = read;
    settings.max_connections = descriptors.connections;
    settings.max_files = descriptors.files;
    let hot_reload = HotReload::of(&settings.keys);
    settings.patience = hot_reload.patience(settings.grace);
    let blueprint = Blueprint {
        document: &document,
        variables: &variables,
        registry: &flb_plugins::REGISTRY,
        parsers: &flb_plugins::builtin_parsers(),
        multiline: &flb_plugins::builtin_multiline(),
        settings: &settings,
        config_dir: folder,
        shared: Arc::clone(shared),
        dry_run: line.dry_run,
    };
    if let Voice::AtWork(_) = voice {
        require_ends(&document, &mut findings);
    }
    let Some(pipeline) = blueprint.build(&mut findings) else {
        return Err(voice.refuse(&document, &findings));
    };
    voice.show(&document, &findings);
    if let Voice::Start(own) = voice {
        own.set_level(log.level, pipeline.log_level());
    }
    fill_in(&mut variables, &document);
    let registry = &flb_plugins::REGISTRY;
    let options = effective::node_options(&document, &variables, registry, pipeline.instances());
    Ok(Built { pipeline, http: HttpSettings::of(&settings.keys), hot_reload, options, log })
}

/// A configuration that replaces another one has inputs and outputs. Else it is a file that is empty, or is being written.
fn require_ends(document: &Document, findings: &mut Findings) {
    for (kind, name) in [(SectionKind::INPUT, "input"), (SectionKind::OUTPUT, "output")] {
        if document.sections_of(kind).next().is_none() {
            let error = Diagnostic::error(format!("[config] the configuration has no {name}"));
            let help = "reload when the file is written to its end; to end the agent, stop it";
            findings.config.push(error.help(help));
        }
    }
}

/// Reads the configuration and writes it as it takes effect, and says what plugins would refuse.
pub(crate) fn effective(
    line: &CommandLine,
    environment: &BTreeMap<String, String>,
    log: &Log,
) -> Result<String, Refused> {
    let voice = Voice::Start(log);
    let (read, ()) = read_all(line, environment, voice, |settings, _| {
        log.set_format(settings.keys.get(LOG_FORMAT))
    })?;
    let Configuration { document, mut variables, settings, folder, mut findings } = read;
    if findings.has_errors() {
        return Err(voice.refuse(&document, &findings));
    }
    let blueprint = Blueprint {
        document: &document,
        variables: &variables,
        registry: &flb_plugins::REGISTRY,
        parsers: &flb_plugins::builtin_parsers(),
        multiline: &flb_plugins::builtin_multiline(),
        settings: &settings,
        config_dir: folder,
        shared: Arc::default(),
        dry_run: true,
    };
    // What is wrong with a plugin's keys is said, and shown as it stands there.
    blueprint.check(&mut findings);
    voice.show(&document, &findings);
    fill_in(&mut variables, &document);
    Ok(effective::yaml(&document, &variables, &flb_plugins::REGISTRY))
}

/// Adds the variables that the document sets.
fn fill_in(variables: &mut Variables, document: &Document) {
    for (name, value) in &document.variables {
        variables.set(name, value);
    }
}

/// Reads all files. `settled` is called as soon as the service sections are read.
fn read_all<T>(
    line: &CommandLine,
    environment: &BTreeMap<String, String>,
    voice: Voice<'_>,
    settled: impl FnOnce(&Settings, &mut Findings) -> T,
) -> Result<(Configuration, T), Refused> {
    let variables = Variables::new(environment.clone(), hostname(), Arc::new(Disk));
    let mut document = line.document();
    let mut findings = Findings::default();
    if let Some(path) = &line.config {
        if let Voice::AtWork(_) = voice
            && let Some(error) = cannot_be_read_again(path)
        {
            findings.config.push(error);
            return Err(voice.refuse(&document, &findings));
        }
        read(&mut document, path, voice, &mut findings)?;
    }
    let mut settings = Settings::read(TABLE, &document, &variables, &mut findings);
    findings.config.extend(doubtful_trust(&settings.keys));
    if let Some(cache) = code_cache(environment) {
        settings.keys.fill(CACHE, &cache.to_string_lossy());
    }
    let done = settled(&settings, &mut findings);
    let folder = line.config.as_deref().and_then(folder);
    let folders = line.config.as_deref().map(|config| folders_of(config, &Disk));
    let folders = folders.unwrap_or_default();
    let is_read = read_parsers_files(&mut document, &settings, &folders, &Disk, &mut findings);
    hide(&mut document);
    if !is_read {
        return Err(voice.refuse(&document, &findings));
    }
    Ok((Configuration { document, variables, settings, folder, findings }, done))
}

/// A pipe is read once, when the agent starts; a second time the agent would wait for whoever may write to it.
fn cannot_be_read_again(path: &Path) -> Option<Diagnostic> {
    let is_other = std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir());
    is_other.then(|| {
        Diagnostic::error(format!("[config] {} cannot be read again", path.display()))
            .help("put the configuration into a file, to have it reloaded")
    })
}

fn read(
    document: &mut Document,
    path: &Path,
    voice: Voice<'_>,
    findings: &mut Findings,
) -> Result<(), Refused> {
    let before = document.sources().len();
    findings.config.extend(read_file(document, path, FileKind::Main, &Disk));
    hide(document);
    if document.sources().len() == before {
        voice.show(document, findings);
        tracing::error!("could not open configuration file, aborting.");
        return Err(Refused { code: exit::CONFIG });
    }
    if findings.config.has_errors() {
        return Err(voice.refuse(document, findings));
    }
    Ok(())
}

/// Keeps diagnostics from showing secrets.
fn hide(document: &mut Document) {
    hide_secrets(document, &|section| {
        let name = section.property("name").map(|name| name.value.text.to_lowercase());
        effective::options(&flb_plugins::REGISTRY, section.kind, &name.unwrap_or_default())
    });
}

/// Where the configuration file is, unless it is in the working directory.
fn folder(config: &Path) -> Option<PathBuf> {
    config.parent().filter(|folder| !folder.as_os_str().is_empty()).map(Path::to_owned)
}

fn forced_level(environment: &BTreeMap<String, String>) -> Option<LogLevel> {
    let text = environment.get(FORCED_LEVEL).filter(|text| !text.is_empty())?;
    match Choice::<LogLevel>::parse(text) {
        Ok(level) => Some(level),
        Err(error) => {
            tracing::warn!("{FORCED_LEVEL} is ignored: {error}");
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

pub(crate) fn hostname() -> Option<String> {
    let text = Disk.read(Path::new("/proc/sys/kernel/hostname")).ok()?;
    Some(text.trim_end().to_owned()).filter(|name| !name.is_empty())
}

fn open_log(path: &Path, findings: &mut Findings) -> Option<File> {
    let opened = logging::open(path).map_err(|error| no_log(path, &error, findings));
    opened.ok()
}

/// Whether the log file could be opened, without making it.
fn look_at_log(path: &Path, findings: &mut Findings) -> Option<File> {
    if let Err(error) = File::options().append(true).open(path) {
        let folder = folder(path).unwrap_or_else(|| ".".into());
        if error.kind() != io::ErrorKind::NotFound || !folder.is_dir() {
            no_log(path, &error, findings);
        }
    }
    None
}

fn no_log(path: &Path, error: &io::Error, findings: &mut Findings) {
    let message = format!("cannot open the log file '{}': {error}", path.display());
    findings.config.push(Diagnostic::error(message));
}

impl Voice<'_> {
    /// Shows what was found.
    fn show(self, document: &Document, findings: &Findings) {
        for diagnostics in [&findings.config, &findings.start] {
            match self {
                Self::Start(log) => log.show(diagnostics, document),
                Self::AtWork(log) => log.tell(diagnostics, document),
            }
        }
    }

    /// Says everything, and why that is the end.
    fn refuse(self, document: &Document, findings: &Findings) -> Refused {
        self.show(document, findings);
        if findings.config.has_errors() {
            if let Self::Start(_) = self {
                tracing::error!("configuration file contains errors, aborting.");
            }
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
