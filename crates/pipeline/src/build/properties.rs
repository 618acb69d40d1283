//! Core properties: what every plugin's section may say beside the plugin's own options.

use std::num::NonZeroUsize;
use std::time::Duration;

use flb_config::{Diagnostic, Diagnostics, Property, Section, Severity, Span, Variables, value};
use flb_event::{Pattern, Tag};

use crate::flow::{Condition, Match, RetryLimit, TagRegex};
use crate::instance::Role;
use crate::log_level::LogLevel;
use crate::storage::StorageType;

/// A plugin's section, as far as the pipeline reads it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Core {
    pub(crate) alias: Option<String>,
    pub(crate) log_level: Option<LogLevel>,
    /// How long a line like the last one is not logged again, if that is wanted.
    pub(crate) log_suppress_interval: Option<Duration>,
    pub(crate) tag: Option<Tag>,
    pub(crate) matching: Match,
    pub(crate) retry_limit: Option<RetryLimit>,
    /// Lanes of an input, or chunks that an output delivers at a time.
    workers: Option<NonZeroUsize>,
    /// Where an input's chunks are kept, if it says so.
    pub(crate) storage: Option<StorageType>,
    /// Whether an input waits while too many stored chunks are in memory.
    pub(crate) pauses: bool,
    /// Most bytes of stored chunks that may wait for an output.
    pub(crate) storage_limit: Option<usize>,
    /// Most bytes of an input in memory, if it says so; the inner nothing is no limit.
    pub(crate) buffer_limit: Option<Option<usize>>,
    /// A filter that is switched off.
    pub(crate) inactive: bool,
    /// Which records a filter or processor is for, if not for all.
    pub(crate) condition: Option<Condition>,
}

/// One core property.
struct Key {
    /// The key. One that ends with a dot stands for all that begin so.
    name: &'static str,
    roles: &'static [Role],
    effect: Effect,
    /// One sentence for the help text. None for those that nobody needs to know.
    about: Option<&'static str>,
}

const fn key(
    name: &'static str,
    roles: &'static [Role],
    effect: Effect,
    about: &'static str,
) -> Key {
    Key { name, roles, effect, about: Some(about) }
}

const fn unneeded(name: &'static str, roles: &'static [Role], effect: Effect) -> Key {
    Key { name, roles, effect, about: None }
}

type Set = fn(&mut Core, &str) -> Result<(), Problem>;

/// Why a value is not taken as it stands, and what to write instead.
struct Problem {
    severity: Severity,
    why: String,
    help: String,
}

impl Problem {
    fn error(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Error, why: why.into(), help: help.into() }
    }

    fn warning(why: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(why, help) }
    }
}

impl From<value::ValueError> for Problem {
    fn from(error: value::ValueError) -> Self {
        Self::error(error.to_string(), error.hint)
    }
}

#[derive(Clone, Copy)]
enum Effect {
    Set(Set),
    /// Read elsewhere.
    Known,
    /// Accepted without effect, because of what the text says.
    Inert(&'static str),
    /// Refused: going on without it would give other results than asked for.
    Refused(&'static str),
}

use Role::{Filter, Input, Output, Processor};

const ALL: &[Role] = &[Input, Filter, Processor, Output];
const MATCHING: &[Role] = &[Filter, Output];
const ENDS: &[Role] = &[Input, Output];
const NETWORK: Effect = Effect::Inert("this plugin does not use it");
const STORAGE: Effect = Effect::Inert("not supported yet");
const NOT_YET: Effect = Effect::Inert("not supported yet");
const THREAD: Effect = Effect::Inert("each input has a thread and a queue of its own");
const NO_CONDITION: Effect =
    Effect::Refused("a condition has 'op' and 'rules', which only the YAML format can write");

const KEYS: &[Key] = &[
    unneeded("name", ALL, Effect::Known),
    key("alias", ALL, Effect::Set(set_alias), "Name of the instance in logs and metrics."),
    key("log_level", ALL, Effect::Set(set_log_level), "How much this instance logs."),
    key(
        "log_suppress_interval",
        ALL,
        Effect::Set(set_log_suppress_interval),
        "Time in which of lines that begin alike only one is logged; 0 for all.",
    ),
    key("tag", &[Input], Effect::Set(set_tag), "Tag of the records; else the instance's name."),
    key("match", MATCHING, Effect::Set(set_match), "Tags it is for; * stands for any text."),
    key(
        "match_regex",
        MATCHING,
        Effect::Set(set_match_regex),
        "Tags it is for, by a regular expression for their beginning.",
    ),
    key(
        "active",
        &[Filter, Processor],
        Effect::Set(set_active),
        "Whether the filter is used at all.",
    ),
    key(
        "retry_limit",
        &[Output],
        Effect::Set(set_retry_limit),
        "How often a chunk is tried again: a number, no_limits or no_retries.",
    ),
    unneeded("match", &[Processor], Effect::Set(check_match)),
    unneeded("match_regex", &[Processor], Effect::Inert("a processor gets all records")),
    unneeded("condition", &[Filter, Processor], NO_CONDITION),
    key("workers", &[Output], Effect::Set(set_workers), "Chunks that it delivers at a time."),
    key("workers", &[Input], Effect::Set(set_workers), "Threads that filter its records, by tag."),
    key(
        "mem_buf_limit",
        &[Input],
        Effect::Set(set_buffer_limit),
        "Bytes in memory at which it is paused; default 64M, 0 for no limit.",
    ),
    unneeded("threaded", &[Input], Effect::Set(check_switch)),
    unneeded("thread.", &[Input], THREAD),
    unneeded("routable", &[Input], Effect::Set(check_routable)),
    key(
        "storage.type",
        &[Input],
        Effect::Set(set_storage),
        "Where chunks are kept: memory; filesystem, below storage.path; memrb, in memory, where the oldest give way.",
    ),
    key(
        "storage.pause_on_chunks_overlimit",
        &[Input],
        Effect::Set(set_pauses),
        "Whether it is paused while storage.max_chunks_up stored chunks are in memory.",
    ),
    key(
        "storage.total_limit_size",
        &[Output],
        Effect::Set(set_storage_limit),
        "Bytes of stored chunks that may wait for it; over that the oldest are dropped.",
    ),
    unneeded("storage.", ENDS, STORAGE),
    unneeded("rate_window", &[Input], NOT_YET),
    unneeded("rate_gate", &[Input], NOT_YET),
    unneeded("listen", &[Input], NETWORK),
    unneeded("host", ENDS, NETWORK),
    unneeded("port", ENDS, NETWORK),
    unneeded("ipv6", ENDS, NETWORK),
    unneeded("net.", ENDS, NETWORK),
    unneeded("tls", ENDS, NETWORK),
    unneeded("tls.", ENDS, NETWORK),
];

/// The properties that every plugin of a kind takes beside its own, each with one sentence about it.
pub fn core_properties(role: Role) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = KEYS.iter().filter(move |row| row.roles.contains(&role));
    rows.filter_map(|row| Some((row.name, row.about?)))
}

/// Whether every plugin of a kind takes this property, beside its own.
pub fn is_core_property(role: Role, key: &str) -> bool {
    find(role, key, &[]).is_some()
}

impl Core {
    /// Lanes of an input, or chunks that an output delivers at a time.
    pub(crate) fn workers(&self) -> usize {
        self.workers.map_or(1, NonZeroUsize::get)
    }

    /// Reads a section's core properties. Those that the plugin has among its own options, `own`, are the plugin's. Of a
    /// property given twice the later one counts.
    pub(crate) fn read(
        role: Role,
        plugin: &str,
        section: &Section,
        own: &[&str],
        variables: &Variables,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut core = Self::default();
        for property in &section.properties {
            let Some(row) = find(role, &property.key.text, own) else { continue };
            let expanded = variables.expand(&property.value.text);
            if !matches!(row.effect, Effect::Known) {
                expanded.report(property.value.span, diagnostics);
            }
            if !expanded.text.is_empty() {
                core.apply(row, property, &expanded.text, (role, plugin), diagnostics);
            }
        }
        if let Some(property) = tag_for_match(role, section, own) {
            core.match_by_tag(property, variables, diagnostics);
        }
        core.condition = Condition::read(section, variables, diagnostics);
        core
    }

    /// Reads a `Tag` that stands for `Match`, and says so.
    fn match_by_tag(
        &mut self,
        property: &Property,
        variables: &Variables,
        diagnostics: &mut Diagnostics,
    ) {
        let expanded = variables.expand(&property.value.text);
        expanded.report(property.value.span, diagnostics);
        let text = expanded.text;
        if !text.is_empty() {
            self.matching.pattern = Some(Pattern::new(&text));
            let warning =
                Diagnostic::warning("[filter] a filter has no 'Tag'; it is taken as 'Match'");
            let help = format!("write Match {text}");
            diagnostics.push(warning.at(property.key.span).help(help));
        }
    }

    fn apply(
        &mut self,
        row: &Key,
        property: &Property,
        text: &str,
        (role, plugin): (Role, &str),
        diagnostics: &mut Diagnostics,
    ) {
        let key = property.key.text.as_str();
        let refuse = |span: Span, why: &str| {
            let message = format!(
                "[config] could not configure property '{key}' on {role} plugin with section name '{plugin}'{why}"
            );
            Diagnostic::error(message).at(span)
        };
        match row.effect {
            Effect::Known => {}
            Effect::Set(set) => {
                if let Err(Problem { severity, why, help }) = set(self, text) {
                    let span = property.value.span;
                    let diagnostic = match severity {
                        Severity::Error => refuse(span, &format!(": {why}")),
                        Severity::Warning => Diagnostic::warning(why).at(span),
                    };
                    diagnostics.push(diagnostic.help(help));
                }
            }
            Effect::Refused(help) => diagnostics.push(refuse(property.key.span, "").help(help)),
            Effect::Inert(why) => {
                if value::parse_bool(text) != Ok(false) {
                    let message = format!("property '{key}' has no effect on this {role}");
                    let warning = Diagnostic::warning(message).at(property.key.span);
                    diagnostics.push(warning.label(why));
                }
            }
        }
    }
}

/// The keys of `section` that are not the plugin's, and the names that a slip of the pen may have meant.
pub(crate) fn reserved<'a>(role: Role, section: &'a Section, own: &[&str]) -> Vec<&'a str> {
    let given = section.properties.iter().map(|property| property.key.text.as_str());
    let by_tag = tag_for_match(role, section, own).is_some();
    let given = given.filter(|key| find(role, key, own).is_some() || by_tag && *key == "tag");
    let names = KEYS.iter().filter(|row| row.roles.contains(&role)).map(|row| row.name);
    given.chain(names.filter(|name| !name.ends_with('.') && !own.contains(name))).collect()
}

/// The `Tag` of a filter that says no `Match`, which it stands for: a widely read page has that mistake.
fn tag_for_match<'a>(role: Role, section: &'a Section, own: &[&str]) -> Option<&'a Property> {
    let says = |key: &str| section.property(key).is_some();
    let is_meant =
        role == Role::Filter && !own.contains(&"tag") && !says("match") && !says("match_regex");
    section.property("tag").filter(|_| is_meant)
}

fn find(role: Role, key: &str, own: &[&str]) -> Option<&'static Key> {
    if own.contains(&key) {
        return None;
    }
    let is = |row: &&Key| row.name == key || row.name.ends_with('.') && key.starts_with(row.name);
    KEYS.iter().filter(|row| row.roles.contains(&role)).find(is)
}

fn set_alias(core: &mut Core, text: &str) -> Result<(), Problem> {
    core.alias = Some(text.to_owned());
    Ok(())
}

fn set_log_level(core: &mut Core, text: &str) -> Result<(), Problem> {
    core.log_level = Some(LogLevel::parse(text)?);
    Ok(())
}

fn set_log_suppress_interval(core: &mut Core, text: &str) -> Result<(), Problem> {
    let interval = value::parse_time(text)?;
    core.log_suppress_interval = Some(interval).filter(|interval| !interval.is_zero());
    Ok(())
}

fn set_tag(core: &mut Core, text: &str) -> Result<(), Problem> {
    let tag = Tag::new(text);
    core.tag = Some(tag.map_err(|error| Problem::error(error.to_string(), "use a shorter one"))?);
    Ok(())
}

fn set_match(core: &mut Core, text: &str) -> Result<(), Problem> {
    core.matching.pattern = Some(Pattern::new(text));
    Ok(())
}

fn set_match_regex(core: &mut Core, text: &str) -> Result<(), Problem> {
    let help = "it is matched from the tag's beginning: ^app\\. or /^app/i";
    let regex = TagRegex::parse(text).map_err(|why| Problem::error(why, help))?;
    core.matching.regex = Some(regex);
    Ok(())
}

/// A processor belongs to its input or output, whatever the tag.
fn check_match(_: &mut Core, text: &str) -> Result<(), Problem> {
    if text == "*" {
        return Ok(());
    }
    let why = "'match' has no effect on a processor: it gets all records of its input or output";
    Err(Problem::warning(why, "write it as a filter, or give it a condition"))
}

fn set_active(core: &mut Core, text: &str) -> Result<(), Problem> {
    core.inactive = text == "0" || text.eq_ignore_ascii_case("false");
    Ok(())
}

fn set_retry_limit(core: &mut Core, text: &str) -> Result<(), Problem> {
    core.retry_limit = RetryLimit::parse(text);
    if core.retry_limit.is_some() {
        return Ok(());
    }
    let why = format!("'{text}' is not a number of retries; chunks are retried once");
    Err(Problem::warning(why, "use a number over 0, no_limits or no_retries"))
}

/// None and one are the same: somebody must do the work.
fn set_workers(core: &mut Core, text: &str) -> Result<(), Problem> {
    let number = usize::try_from(value::parse_int(text)?).ok().filter(|number| *number <= 256);
    let number = number.ok_or_else(|| Problem::error("not between 0 and 256", "use 1, 2 or so"))?;
    core.workers = NonZeroUsize::new(number);
    Ok(())
}

fn set_buffer_limit(core: &mut Core, text: &str) -> Result<(), Problem> {
    let bytes = usize::try_from(value::parse_size(text)?).unwrap_or(usize::MAX);
    core.buffer_limit = Some(Some(bytes).filter(|bytes| *bytes > 0));
    Ok(())
}

/// Every input has a thread of its own, so the value is only checked.
fn check_switch(_: &mut Core, text: &str) -> Result<(), Problem> {
    value::parse_bool(text)?;
    Ok(())
}

fn check_routable(_: &mut Core, text: &str) -> Result<(), Problem> {
    if value::parse_bool(text)? {
        return Ok(());
    }
    Err(Problem::error("inputs that are not routed are not supported yet", "leave it out"))
}

fn set_storage(core: &mut Core, text: &str) -> Result<(), Problem> {
    core.storage = Some(StorageType::parse(text)?);
    Ok(())
}

fn set_pauses(core: &mut Core, text: &str) -> Result<(), Problem> {
    core.pauses = value::parse_bool(text)?;
    Ok(())
}

fn set_storage_limit(core: &mut Core, text: &str) -> Result<(), Problem> {
    if !text.eq_ignore_ascii_case("off") {
        let bytes = usize::try_from(value::parse_size(text)?).unwrap_or(usize::MAX);
        core.storage_limit = Some(bytes).filter(|bytes| *bytes > 0);
    }
    Ok(())
}
