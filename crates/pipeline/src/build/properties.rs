//! Core properties: what every plugin's section may say beside the plugin's own options.

use std::num::NonZeroUsize;
use std::time::Duration;

use flb_config::keys::{
    Bool, Choice, Key, Kind, Options, Row, Shape, Size, Status, Table, Text, Time,
};
use flb_config::value::{self, ValueError};
use flb_config::{Diagnostic, Diagnostics, Property, Role, Section, Span, Variables, keys};
use flb_event::{Pattern, Tag};

use crate::flow::{Condition, Match, RetryLimit, Sharing, TagRegex};
use crate::log_level::LogLevel;
use crate::storage::StorageType;

keys! {
    /// What every plugin takes.
    const EVERY;
    NAME: Option<Text> = Key::new("name", "");
    ALIAS: Option<Text> = Key::new("alias", "Name of the instance in logs and metrics.");
    LOG_LEVEL: Option<Choice<LogLevel>> = Key::new("log_level", "How much this instance logs.");
    LOG_SUPPRESS_INTERVAL: Time = Key::new(
        "log_suppress_interval",
        "Time in which of lines that begin alike only one is logged; 0 for all.",
    )
    .default("0");
}

keys! {
    /// What inputs take.
    const INPUT;
    TAG: Option<TagText> = Key::new("tag", "Tag of the records; else the instance's name.");
    THREADS: Workers = Key::new("workers", "Threads that filter its records.").default("1");
    WORKERS_BY: Choice<Sharing> = Key::new(
        "workers_by",
        "Which of them filters a batch: tag, always the same one for a tag; turn, whichever is free.",
    )
    .default("tag");
    MEM_BUF_LIMIT: Size = Key::new(
        "mem_buf_limit",
        "Bytes in memory at which it is paused; 0 for no limit.",
    )
    .default("64M");
    THREADED: Option<Bool> = Key::new("threaded", "").idle(THREAD);
    THREAD_OPTIONS: Option<Text> = Key::new("thread.*", "").inert(THREAD);
    ROUTABLE: Bool = Key::new("routable", "").default("on");
    STORAGE_TYPE: Option<Choice<StorageType>> = Key::new(
        "storage.type",
        "Where chunks are kept: memory; filesystem, below storage.path; memrb, in memory, where the oldest give way.",
    );
    STORAGE_PAUSES: Bool = Key::new(
        "storage.pause_on_chunks_overlimit",
        "Whether it is paused while storage.max_chunks_up stored chunks are in memory.",
    )
    .default("off");
    RATE_WINDOW: Option<Text> = Key::new("rate_window", "").not_yet();
    RATE_GATE: Option<Text> = Key::new("rate_gate", "").not_yet();
    RATE_GATE_OPTIONS: Option<Text> = Key::new("rate_gate.*", "").not_yet();
    LISTEN: Option<Text> = Key::new("listen", "").inert(NETWORK);
}

keys! {
    /// What whoever takes records by their tags takes.
    const BY_TAG;
    MATCH: Option<Text> = Key::new("match", "Tags it is for; * stands for any text.");
    MATCH_REGEX: Option<TagPattern> =
        Key::new("match_regex", "Tags it is for, by a regular expression for their beginning.");
}

keys! {
    /// What filters take, also those that are processors.
    const DECIDING;
    ACTIVE: Option<Text> = Key::new("active", "Whether the filter is used at all.");
    CONDITION: Option<Text> = Key::new("condition", "")
        .refused("", "a condition has 'op' and 'rules', which only the YAML format can write");
}

keys! {
    /// What processors take. They belong to their input or output, whatever the tag.
    const PROCESSOR;
    ANY: Option<Text> = Key::new("match", "");
    ANY_REGEX: Option<Text> = Key::new("match_regex", "").inert("a processor gets all records");
}

keys! {
    /// What outputs take.
    const OUTPUT;
    RETRY_LIMIT: Text = Key::new(
        "retry_limit",
        "How often a chunk is tried again: a number, no_limits or no_retries.",
    )
    .default("1");
    WORKERS: Workers = Key::new("workers", "Chunks that it delivers at a time.").default("1");
    STORAGE_LIMIT: Option<Limit> = Key::new(
        "storage.total_limit_size",
        "Bytes of stored chunks that may wait for it; over that the oldest are dropped.",
    );
}

keys! {
    /// What inputs and outputs take that do not use the network.
    const ENDS;
    STORAGE: Option<Text> = Key::new("storage.*", "").not_yet();
    HOST: Option<Text> = Key::new("host", "").inert(NETWORK);
    PORT: Option<Text> = Key::new("port", "").inert(NETWORK);
    IPV6: Option<Text> = Key::new("ipv6", "").inert(NETWORK);
    NET: Option<Text> = Key::new("net.*", "").inert(NETWORK);
    TLS: Option<Text> = Key::new("tls", "").inert(NETWORK);
    TLS_OPTIONS: Option<Text> = Key::new("tls.*", "").inert(NETWORK);
}

const NETWORK: &str = "this plugin does not use it";
const THREAD: &str = "each input has a thread and a queue of its own";
const ALL: Table = Table(&[EVERY, INPUT, BY_TAG, DECIDING, PROCESSOR, OUTPUT, ENDS]);

/// The properties that every plugin of a role takes beside its own. Those that nobody needs to know have no help.
pub fn core_properties(role: Role) -> Table {
    match role {
        Role::Input => Table(&[EVERY, INPUT, ENDS]),
        Role::Filter => Table(&[EVERY, BY_TAG, DECIDING]),
        Role::Processor => Table(&[EVERY, PROCESSOR, DECIDING]),
        Role::Output => Table(&[EVERY, BY_TAG, OUTPUT, ENDS]),
    }
}

/// The text of a tag.
#[derive(Debug)]
enum TagText {}

impl Kind for TagText {
    type Value<'a> = Tag;
    const SHAPE: Shape = Shape::Text;

    fn parse(text: &str) -> Result<Tag, ValueError> {
        Tag::new(text)
            .map_err(|error| ValueError::saying(error.to_string(), text, "use a shorter one"))
    }
}

/// A regular expression for tags.
#[derive(Debug)]
enum TagPattern {}

impl Kind for TagPattern {
    type Value<'a> = TagRegex;
    const SHAPE: Shape = Shape::Text;

    fn parse(text: &str) -> Result<TagRegex, ValueError> {
        let help = "it is matched from the tag's beginning: ^app\\. or /^app/i";
        TagRegex::parse(text).map_err(|why| ValueError::saying(why, text, help))
    }
}

/// A number of workers. None and one are the same: somebody must do the work.
#[derive(Debug)]
enum Workers {}

impl Kind for Workers {
    type Value<'a> = NonZeroUsize;
    const SHAPE: Shape = Shape::Int;

    fn parse(text: &str) -> Result<NonZeroUsize, ValueError> {
        let number = usize::try_from(value::parse_int(text)?).ok().filter(|number| *number <= 256);
        let number = number.map(|number| NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN));
        number.ok_or_else(|| ValueError::saying("not between 0 and 256", text, "use 1, 2 or so"))
    }
}

/// Most bytes, if there is a limit; `off` and 0 are none.
#[derive(Debug)]
enum Limit {}

impl Kind for Limit {
    type Value<'a> = Option<usize>;
    const SHAPE: Shape = Shape::Size;

    fn parse(text: &str) -> Result<Option<usize>, ValueError> {
        match text.eq_ignore_ascii_case("off") {
            true => Ok(None),
            false => Ok(limit(value::parse_size(text)?)),
        }
    }
}

fn limit(bytes: u64) -> Option<usize> {
    Some(usize::try_from(bytes).unwrap_or(usize::MAX)).filter(|bytes| *bytes > 0)
}

/// A plugin's section, as far as the pipeline reads it.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    pub(crate) alias: Option<String>,
    pub(crate) log_level: Option<LogLevel>,
    /// How long a line like the last one is not logged again, if that is wanted.
    pub(crate) log_suppress_interval: Option<Duration>,
    pub(crate) tag: Option<Tag>,
    pub(crate) matching: Match,
    pub(crate) retry_limit: RetryLimit,
    /// Lanes of an input, or chunks that an output delivers at a time.
    pub(crate) workers: usize,
    /// How an input's lanes share its batches.
    pub(crate) sharing: Sharing,
    /// Where an input's chunks are kept, if it says so.
    pub(crate) storage: Option<StorageType>,
    /// Whether an input waits while too many stored chunks are in memory.
    pub(crate) pauses: bool,
    /// Most bytes of stored chunks that may wait for an output.
    pub(crate) storage_limit: Option<usize>,
    /// Most bytes of an input in memory, if there is a limit.
    pub(crate) buffer_limit: Option<usize>,
    /// A filter that is switched off.
    pub(crate) inactive: bool,
    /// Which records a filter or processor is for, if not for all.
    pub(crate) condition: Option<Condition>,
}

impl Core {
    /// Reads a section's core properties. Those that the plugin has among its own options, `own`, are the plugin's. Of a
    /// property given twice the later one counts.
    pub(crate) fn read(
        role: Role,
        plugin: &str,
        section: &Section,
        own: Table,
        variables: &Variables,
        diagnostics: &mut Diagnostics,
    ) -> Self {
        let mut reader = Reader { role, plugin, variables, diagnostics, keys: Options::new(ALL) };
        for property in &section.properties {
            if let Some(row) = find(role, &property.key.text, own) {
                reader.apply(row, property);
            }
        }
        let mut core = reader.finish();
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
}

struct Reader<'a> {
    role: Role,
    plugin: &'a str,
    variables: &'a Variables,
    diagnostics: &'a mut Diagnostics,
    keys: Options,
}

impl Reader<'_> {
    fn apply(&mut self, row: &Row, property: &Property) {
        if row.name == NAME.name() {
            return;
        }
        let (key, span) = (property.key.text.as_str(), property.value.span);
        let expanded = self.variables.expand(&property.value.text);
        expanded.report(span, self.diagnostics);
        let text = expanded.text.as_str();
        if let Err(error) = self.keys.replace(row, key, text, Some(span)) {
            return self.refuse(key, span, &error.to_string(), &error.hint);
        }
        if text.is_empty() || value::parse_bool(text) == Ok(false) {
            return;
        }
        match row.status {
            Status::Works | Status::Idle(_) => {}
            Status::Inert(why) => self.warn(property, why),
            Status::NotYet => self.warn(property, "not supported yet"),
            Status::Refused { why, help } => self.refuse(key, property.key.span, why, help),
        }
    }

    fn warn(&mut self, property: &Property, why: &str) {
        let message =
            format!("property '{}' has no effect on this {}", property.key.text, self.role);
        self.diagnostics.push(Diagnostic::warning(message).at(property.key.span).label(why));
    }

    fn refuse(&mut self, key: &str, span: Span, why: &str, help: &str) {
        let (role, plugin) = (self.role, self.plugin);
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        let message = format!(
            "[config] could not configure property '{key}' on {role} plugin with section name '{plugin}'{why}"
        );
        self.diagnostics.push(Diagnostic::error(message).at(span).help(help));
    }

    fn finish(mut self) -> Core {
        let retry_limit = self.retry_limit();
        self.check_processor_match();
        self.check_routable();
        let keys = &self.keys;
        let workers = match self.role {
            Role::Input => keys.get(THREADS),
            Role::Output => keys.get(WORKERS),
            Role::Filter | Role::Processor => NonZeroUsize::MIN,
        };
        let pattern = keys.get(MATCH).filter(|_| self.role != Role::Processor).map(Pattern::new);
        let off = |text: &str| text == "0" || text.eq_ignore_ascii_case("false");
        Core {
            alias: keys.get(ALIAS).map(str::to_owned),
            log_level: keys.get(LOG_LEVEL),
            log_suppress_interval: Some(keys.get(LOG_SUPPRESS_INTERVAL))
                .filter(|interval| !interval.is_zero()),
            tag: keys.get(TAG),
            matching: Match { pattern, regex: self.regex() },
            retry_limit,
            workers: workers.get(),
            sharing: keys.get(WORKERS_BY),
            storage: keys.get(STORAGE_TYPE),
            pauses: keys.get(STORAGE_PAUSES),
            storage_limit: keys.get(STORAGE_LIMIT).flatten(),
            buffer_limit: limit(keys.get(MEM_BUF_LIMIT)),
            inactive: keys.get(ACTIVE).is_some_and(off),
            condition: None,
        }
    }

    /// A processor's is another key of the same name, which has no effect.
    fn regex(&self) -> Option<TagRegex> {
        if self.role == Role::Processor { None } else { self.keys.get(MATCH_REGEX) }
    }

    fn retry_limit(&mut self) -> RetryLimit {
        let text = self.keys.get(RETRY_LIMIT);
        RetryLimit::parse(text).unwrap_or_else(|| {
            let why = format!("'{text}' is not a number of retries; chunks are retried once");
            let help = "use a number over 0, no_limits or no_retries";
            self.diagnostics
                .push(at(Diagnostic::warning(why), self.keys.span(RETRY_LIMIT)).help(help));
            RetryLimit::Times(1)
        })
    }

    fn check_processor_match(&mut self) {
        if self.role == Role::Processor && self.keys.get(ANY).is_some_and(|text| text != "*") {
            let why =
                "'match' has no effect on a processor: it gets all records of its input or output";
            let warning = at(Diagnostic::warning(why), self.keys.span(ANY));
            self.diagnostics.push(warning.help("write it as a filter, or give it a condition"));
        }
    }

    fn check_routable(&mut self) {
        if let Some(span) = self.keys.span(ROUTABLE)
            && !self.keys.get(ROUTABLE)
        {
            let why = "inputs that are not routed are not supported yet";
            self.refuse(ROUTABLE.name(), span, why, "leave it out");
        }
    }
}

fn at(diagnostic: Diagnostic, span: Option<Span>) -> Diagnostic {
    match span {
        Some(span) => diagnostic.at(span),
        None => diagnostic,
    }
}

/// The keys of `section` that are not the plugin's, and the names that a slip of the pen may have meant.
pub(crate) fn reserved(role: Role, section: &Section, own: Table) -> Vec<&str> {
    let given = section.properties.iter().map(|property| property.key.text.as_str());
    let by_tag = tag_for_match(role, section, own).is_some();
    let given = given.filter(|key| find(role, key, own).is_some() || by_tag && *key == "tag");
    let is_own = |name: &str| own.names().any(|own| own == name);
    let names = core_properties(role).names();
    given.chain(names.filter(|name| !name.ends_with('*') && !is_own(name))).collect()
}

/// The `Tag` of a filter that says no `Match`, which it stands for: a widely read page has that mistake.
fn tag_for_match(role: Role, section: &Section, own: Table) -> Option<&Property> {
    let says = |key: &str| section.property(key).is_some();
    let is_own = own.names().any(|name| name == "tag");
    let is_meant = role == Role::Filter && !is_own && !says("match") && !says("match_regex");
    section.property("tag").filter(|_| is_meant)
}

fn find(role: Role, key: &str, own: Table) -> Option<&'static Row> {
    match own.names().any(|name| name == key) {
        true => None,
        false => core_properties(role).find(key),
    }
}
