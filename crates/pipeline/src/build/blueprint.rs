//! From a document to a pipeline: finds each section's plugin, checks what it is given, and builds it. Goes on after a
//! mistake, so that one run shows all of them.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flb_config::keys::Options;
use flb_config::{
    Diagnostic, Diagnostics, Document, Role, Section, SectionKind, Variables, did_you_mean,
};
use flb_event::Tag;
use flb_plugin::{
    Build, BuildError, Filter, Generation, Metrics, MultilineParsers, Outlet, Parsers, Registry,
    Service, Shared, Spec,
};

use super::findings::Findings;
use super::parsers::{World, build_multiline, build_parsers, find_spec};
use super::properties::{Core, reserved};
use super::service::{Settings, with_document};
use crate::books::{Counters, FilterRow, InputRow, OutputRow, ParserRow};
use crate::flow::{LaneFilter, Match, Processed, Sharing};
use crate::instance::Instance;
use crate::run::{InputPart, OutputKey, OutputPart, Pipeline, Reserved, StoragePart, Timing};
use crate::storage::{Rejected, Storage, StorageSettings, StorageType};

/// Everything that a pipeline is built from.
#[derive(Debug, Clone)]
pub struct Blueprint<'a> {
    /// The whole configuration, parsers files included.
    pub document: &'a Document,
    /// The environment; what the document sets is added.
    pub variables: &'a Variables,
    /// The plugins that sections may name.
    pub registry: &'a Registry,
    /// Parsers that are there without being configured.
    pub parsers: &'a Parsers,
    /// Multiline parsers that are there without being configured.
    pub multiline: &'a MultilineParsers,
    /// What the service sections settle.
    pub settings: &'a Settings,
    /// The directory of the main configuration file.
    pub config_dir: Option<PathBuf>,
    /// What plugins make once, also for pipelines that replace this one.
    pub shared: Arc<Shared>,
    /// It is built to be looked at, and will not run.
    pub dry_run: bool,
}

impl Blueprint<'_> {
    /// Builds the pipeline. `None` if anything in `findings` is an error, be it from before.
    pub fn build(&self, findings: &mut Findings) -> Option<Pipeline> {
        let variables = with_document(self.variables, self.document);
        let service = self.service(&variables);
        let overdue = Arc::clone(&service.overdue);
        let (document, registry) = (self.document, self.registry);
        let world = World { document, registry, service: &service, variables: &variables };
        let mut found = Diagnostics::default();
        let mut rows = Vec::new();
        let parsers = build_parsers(world, self.parsers, &mut rows, &mut found);
        let multiline = build_multiline(world, &parsers, self.multiline, &mut rows, &mut found);
        let parsers_are_sound = !found.has_errors();
        findings.config.extend(found);
        let mut builder =
            Builder { document, variables, service, parsers, multiline, registry, findings };
        let inputs = builder.plan(Role::Input, registry.inputs);
        let mut filters = builder.plan(Role::Filter, registry.filters);
        let mut outputs = builder.plan(Role::Output, registry.outputs);
        filters.retain(|plan| !plan.core.inactive);
        builder.check_storage(&inputs, &self.settings.storage);
        builder.check_filters_match(&filters);
        builder.check_outputs_match(&mut outputs);
        // Who asks for a parser that is wrong would only be told so again.
        if !parsers_are_sound {
            return None;
        }
        builder.try_only_after_mistakes();
        let inputs = builder.make(inputs);
        let filters = builder.make(filters);
        let outputs = builder.make(outputs);
        if builder.findings.has_errors() {
            return None;
        }
        let pipeline = assemble(inputs, filters, outputs, rows, self.settings, overdue);
        pipeline.map_err(|(instance, error)| builder.refuse(&instance, None, &error)).ok()
    }

    /// Finds what is wrong with the sections of plugins by their keys alone, and builds nothing.
    pub fn check(&self, findings: &mut Findings) {
        let variables = with_document(self.variables, self.document);
        let mut builder = Builder {
            document: self.document,
            service: self.service(&variables),
            variables,
            parsers: self.parsers.clone(),
            multiline: self.multiline.clone(),
            registry: self.registry,
            findings,
        };
        builder.plan(Role::Input, self.registry.inputs);
        builder.plan(Role::Filter, self.registry.filters);
        builder.plan(Role::Output, self.registry.outputs);
    }

    fn service(&self, variables: &Variables) -> Service {
        Service {
            keys: self.settings.keys.clone(),
            config_dir: self.config_dir.clone(),
            variables: variables.clone(),
            max_connections: self.settings.max_connections,
            max_files: self.settings.max_files,
            dry_run: self.dry_run,
            shared: Arc::clone(&self.shared),
            generation: Generation::default(),
            overdue: Arc::default(),
        }
    }
}

fn timing(settings: &Settings) -> Timing {
    let Settings { flush, grace, patience, backoff, .. } = *settings;
    Timing { flush_every: flush, grace, patience, backoff }
}

/// A section whose plugin is known.
struct Plan<'a, T: ?Sized + 'static> {
    section: &'a Section,
    spec: &'static Spec<T>,
    instance: Instance,
    /// The plugin's name and the instance's number, also if it has an alias.
    numbered: String,
    core: Core,
    /// `None` when they have mistakes.
    options: Option<Options>,
    /// Those of an input or output.
    processors: Vec<Plan<'a, dyn Filter>>,
}

/// A plugin at work, before it is part of a pipeline.
struct Made<T: ?Sized> {
    plugin: Box<T>,
    instance: Instance,
    core: Core,
    /// All that its section says.
    section: String,
    metrics: Metrics,
    processors: Vec<Made<dyn Filter>>,
}

struct Builder<'a, 'f> {
    document: &'a Document,
    variables: Variables,
    service: Service,
    parsers: Parsers,
    multiline: MultilineParsers,
    /// The plugins that sections and processors may name.
    registry: &'a Registry,
    findings: &'f mut Findings,
}

impl<'a> Builder<'a, '_> {
    /// Reads all sections of one kind. Every section counts for the numbering, also a wrong one.
    fn plan<T: ?Sized>(&mut self, role: Role, specs: &'static [Spec<T>]) -> Vec<Plan<'a, T>> {
        let document = self.document;
        let sections = document.sections_of(SectionKind::Plugin(role)).enumerate();
        sections
            .filter_map(|(number, section)| {
                let numbered = |plugin: &str| format!("{plugin}.{number}");
                let mut plan = self.plan_one(role, &numbered, section, specs)?;
                plan.instance.number = number;
                plan.processors = self.plan_processors(&plan.instance, section);
                Some(plan)
            })
            .collect()
    }

    /// Reads the processors of an input or output. They are filters, named for whom they belong to.
    fn plan_processors(
        &mut self,
        owner: &Instance,
        section: &'a Section,
    ) -> Vec<Plan<'a, dyn Filter>> {
        let filters = self.registry.filters;
        let sections = section.children_of(SectionKind::PROCESSOR).enumerate();
        let plans = sections.filter_map(|(number, section)| {
            let numbered = |plugin: &str| format!("{}/{plugin}.{number}", owner.name);
            let mut plan = self.plan_one(Role::Processor, &numbered, section, filters)?;
            plan.core.matching = Match::all();
            plan.instance.number = number;
            plan.instance.owner = Some(Box::new(owner.clone()));
            Some(plan)
        });
        plans.filter(|plan| !plan.core.inactive).collect()
    }

    fn plan_one<T: ?Sized>(
        &mut self,
        role: Role,
        numbered: &dyn Fn(&str) -> String,
        section: &'a Section,
        specs: &'static [Spec<T>],
    ) -> Option<Plan<'a, T>> {
        let spec = self.find_plugin(role, section, specs)?;
        let out = &mut self.findings.config;
        let core = Core::read(role, spec.name, section, spec.options, &self.variables, out);
        let numbered = numbered(spec.name);
        let name = core.alias.as_deref().unwrap_or(&numbered).into();
        let instance = Instance {
            log_level: core.log_level,
            log_suppress_interval: core.log_suppress_interval,
            ..Instance::new(role, spec.name, name)
        };
        let reserved = reserved(role, section, spec.options);
        let mut found = Diagnostics::default();
        let options =
            Options::read(spec.name, spec.options, section, &reserved, &self.variables, &mut found);
        let refused = found.has_errors();
        self.findings.start.extend(found);
        if refused {
            self.failed(&instance);
        }
        let options = (!refused).then_some(options);
        Some(Plan { section, spec, instance, numbered, core, options, processors: Vec::new() })
    }

    fn find_plugin<T: ?Sized>(
        &mut self,
        role: Role,
        section: &Section,
        specs: &'static [Spec<T>],
    ) -> Option<&'static Spec<T>> {
        let out = &mut self.findings.config;
        let Some(property) = section.property("name") else {
            let message = format!("[config] section '{role}' is missing the 'name' property");
            let help = "add the plugin's name: Name ...";
            out.push(Diagnostic::error(message).at(section.name.span).help(help));
            return None;
        };
        let expanded = self.variables.expand(&property.value.text);
        expanded.report(property.value.span, out);
        let name = expanded.text;
        let spec = find_spec(specs, &name);
        if spec.is_none() {
            let message = format!(
                "[config] section '{name}' tried to instance a plugin name that doesn't exist"
            );
            let names = specs.iter().map(|spec| spec.name);
            let absent = self.registry.absent(role, &name);
            let help = match (absent, did_you_mean(&name, names.clone())) {
                (Some(absent), _) => absent.help(),
                (None, Some(near)) => format!("did you mean '{near}'?"),
                (None, None) => {
                    format!("{role} plugins: {}", names.collect::<Vec<_>>().join(", "))
                }
            };
            out.push(Diagnostic::error(message).at(property.value.span).help(help));
        }
        spec
    }

    /// What is wrong already is never run; but what else is wrong shall be said, too.
    fn try_only_after_mistakes(&mut self) {
        if self.findings.has_errors() {
            self.service.dry_run = true;
        }
    }

    fn check_storage<T: ?Sized>(&mut self, inputs: &[Plan<'_, T>], settings: &StorageSettings) {
        if settings.keeps_rejected && settings.path.is_none() {
            let error = Diagnostic::error("[storage] storage.keep.rejected needs a storage.path");
            let help = "name a folder in the service section: storage.path ...";
            self.findings.config.push(error.help(help));
        }
        let is_stored = |plan: &&Plan<'_, T>| settings.stores(plan.core.storage);
        for plan in inputs.iter().filter(is_stored).filter(|_| settings.path.is_none()) {
            let name = &plan.instance.name;
            let message = format!(
                "[storage] instance '{name}' requested filesystem storage but no filesystem path was defined."
            );
            let error = Diagnostic::error(message).at(plan.section.name.span);
            let help = "name a folder in the service section: storage.path ...";
            self.findings.start.push(error.help(help));
            self.failed(&plan.instance);
        }
    }

    fn check_filters_match(&mut self, filters: &[Plan<'_, dyn Filter>]) {
        for plan in filters.iter().filter(|plan| !plan.core.matching.is_given()) {
            let name = &plan.instance.name;
            let message = format!("[filter] NO match rule for {name} filter instance, unloading.");
            let help = "say which tags it is for, with * for any text: Match *";
            let error = Diagnostic::error(message).at(plan.section.name.span);
            self.findings.start.push(error.help(help));
            self.failed(&plan.instance);
        }
    }

    /// One input and one output belong together without a word; else an output without `Match` receives nothing.
    fn check_outputs_match<T: ?Sized>(&mut self, outputs: &mut [Plan<'_, T>]) {
        let count = |kind| self.document.sections_of(kind).count();
        if count(SectionKind::INPUT) == 1 && count(SectionKind::OUTPUT) == 1 {
            for only in outputs.iter_mut().filter(|only| !only.core.matching.is_given()) {
                only.core.matching = Match::all();
            }
        }
        for plan in outputs.iter().filter(|plan| !plan.core.matching.is_given()) {
            let message = format!("[router] NO match for {} output instance", plan.instance.name);
            let help = "say which tags it is for, with * for any text: Match *";
            let warning = Diagnostic::warning(message).at(plan.section.name.span);
            self.findings.config.push(warning.label("receives nothing").help(help));
        }
    }

    /// Builds the plugins whose options are right.
    fn make<T: ?Sized>(&mut self, plans: Vec<Plan<'_, T>>) -> Vec<Made<T>> {
        plans.into_iter().filter_map(|plan| self.make_one(plan)).collect()
    }

    fn make_one<T: ?Sized>(&mut self, plan: Plan<'_, T>) -> Option<Made<T>> {
        let Plan { section, spec, instance, numbered, core, options, processors } = plan;
        let processors = self.make(processors);
        let options = options?;
        let metrics = Metrics::default();
        let made = tag_of(&core, &numbered).and_then(|tag| {
            let build = Build {
                instance: &instance.name,
                tag: &tag,
                parsers: &self.parsers,
                multiline: &self.multiline,
                service: &self.service,
                metrics: &metrics,
            };
            instance.span().in_scope(|| (spec.build)(&options, &build))
        });
        match made {
            Ok(plugin) => {
                let section = text_of(section);
                Some(Made { plugin, instance, core, section, metrics, processors })
            }
            Err(error) => {
                self.refuse(&instance, Some(section), &error);
                None
            }
        }
    }

    fn refuse(&mut self, instance: &Instance, section: Option<&Section>, error: &BuildError) {
        let mut diagnostic = Diagnostic::error(instance.say(&error.message));
        diagnostic.span = section.map(|section| section.name.span);
        diagnostic.help = error.help.clone();
        self.findings.start.push(diagnostic);
        self.failed(instance);
    }

    fn failed(&mut self, instance: &Instance) {
        if !self.findings.failed.contains(instance) {
            self.findings.failed.push(instance.clone());
        }
    }
}

/// All that a section says, as it is written.
fn text_of(section: &Section) -> String {
    let properties = section.properties.iter();
    let properties = properties.map(|own| format!("{}={}\n", own.key.text, own.value.text));
    let children = section.children.iter().map(|child| format!("[{}]\n", text_of(child)));
    properties.chain(children).collect()
}

/// An input's tag, or else its number.
fn tag_of(core: &Core, numbered: &str) -> Result<Tag, BuildError> {
    match &core.tag {
        Some(tag) => Ok(tag.clone()),
        None => Tag::new(numbered).map_err(|error| BuildError::new(error.to_string())),
    }
}

/// Puts everything in its place: each lane of each input gets its own copy of all filters.
fn assemble(
    inputs: Vec<Made<dyn flb_plugin::Input>>,
    filters: Vec<Made<dyn Filter>>,
    outputs: Vec<Made<dyn flb_plugin::Output>>,
    parsers: Vec<ParserRow>,
    settings: &Settings,
    overdue: Arc<AtomicBool>,
) -> Result<Pipeline, (Instance, BuildError)> {
    let mut counters = Counters { parsers, ..Counters::default() };
    // Those of filters come first, and a lane's filters find theirs by their place.
    add_rows(&mut counters, &filters);
    check_sharing(&inputs, &filters)?;
    let mut lanes = copies(filters, inputs.iter().map(|input| input.core.workers).sum())?;
    let mut input_parts = Vec::new();
    for Made { plugin, instance, core, metrics, processors, .. } in inputs {
        let limit = core.buffer_limit;
        let row = match settings.storage.of_input(core.storage) {
            StorageType::Filesystem => InputRow::stored(instance),
            StorageType::Ring => InputRow::ring(instance, limit),
            StorageType::Memory => InputRow::new(instance, limit),
        };
        let row = Arc::new(InputRow { metrics, ..row });
        counters.inputs.push(Arc::clone(&row));
        let rows = add_rows(&mut counters, &processors);
        let own = copies(processors, core.workers)?.into_iter().zip(lanes.drain(..core.workers));
        let lanes = own.map(|(processors, filters)| {
            let mut all = lane_filters(processors, &rows);
            all.extend(lane_filters(filters, &counters.filters));
            all
        });
        let (lanes, pauses) = (lanes.collect(), row.is_stored && core.pauses);
        let sharing = core.sharing;
        input_parts.push(InputPart { input: plugin, lanes, sharing, pauses, row });
    }
    let mut output_parts = Vec::new();
    for Made { plugin, instance, core, section, metrics, processors } in outputs {
        let key = OutputKey { instance: instance.clone(), section };
        let row = Arc::new(OutputRow { metrics, ..OutputRow::new(instance) });
        counters.outputs.push(Arc::clone(&row));
        let limit = core.retry_limit;
        let workers = core.workers;
        let (matching, storage_limit) = (core.matching, core.storage_limit);
        let rows = add_rows(&mut counters, &processors);
        let output = Processed::wrap(plugin, lane_filters(processors, &rows)).into();
        output_parts.push(OutputPart {
            output,
            matching,
            is_leaving: false,
            limit,
            workers,
            storage_limit,
            row,
            key,
        });
    }
    let storage = settings.storage.path.as_deref().map(|path| StoragePart {
        storage: Arc::new(Storage::new(path, &settings.storage)),
        leftovers_memory: settings.storage.leftovers_memory,
        rejected: Rejected::of(&settings.storage),
        is_flushed: settings.storage.is_flushed,
    });
    counters.leftovers = storage.as_ref().map(|_| Arc::new(leftovers(input_parts.len())));
    Ok(Pipeline {
        inputs: input_parts,
        outputs: output_parts,
        counters: Arc::new(counters),
        timing: timing(settings),
        storage,
        reserved: Reserved::default(),
        left: None,
        overdue,
    })
}

/// A filter that joins records of several batches must not get every other one only.
fn check_sharing(
    inputs: &[Made<dyn flb_plugin::Input>],
    filters: &[Made<dyn Filter>],
) -> Result<(), (Instance, BuildError)> {
    let in_turn =
        |input: &&Made<_>| input.core.sharing == Sharing::InTurn && input.core.workers > 1;
    for input in inputs.iter().filter(in_turn) {
        let mut all = filters.iter().chain(&input.processors);
        if let Some(filter) = all.find(|made| made.plugin.joins_batches()) {
            let error = BuildError::new(format!(
                "it needs all batches of a tag, and Workers_By turn of {} gives them to several copies of it",
                input.instance.name
            ));
            let help = "say Workers_By tag there, or make the filter a processor of the input that it is for";
            return Err((filter.instance.clone(), error.help(help)));
        }
    }
    Ok(())
}

/// The row of what is in storage at the start: it counts as one more input.
fn leftovers(number: usize) -> InputRow {
    let plugin = "storage_backlog";
    let name = format!("{plugin}.{number}").into();
    InputRow::stored(Instance { number, ..Instance::new(Role::Input, plugin, name) })
}

/// Makes a row for each filter.
fn add_rows(counters: &mut Counters, filters: &[Made<dyn Filter>]) -> Vec<Arc<FilterRow>> {
    let row = |made: &Made<dyn Filter>| {
        Arc::new(FilterRow::new(made.instance.clone(), made.metrics.clone()))
    };
    let rows: Vec<_> = filters.iter().map(row).collect();
    counters.filters.extend(rows.iter().cloned());
    rows
}

/// A plugin of each filter for each lane.
type Copies = Vec<Vec<Made<dyn Filter>>>;

/// The filters as often as there are lanes; one of the lanes takes those that are there.
fn copies(filters: Vec<Made<dyn Filter>>, lanes: usize) -> Result<Copies, (Instance, BuildError)> {
    let forks = (1..lanes).map(|_| fork(&filters));
    let mut copies = forks.collect::<Result<Copies, _>>()?;
    copies.push(filters);
    Ok(copies)
}

fn fork(filters: &[Made<dyn Filter>]) -> Result<Vec<Made<dyn Filter>>, (Instance, BuildError)> {
    let copies = filters.iter().map(|made| {
        let fork = made.instance.span().in_scope(|| made.plugin.fork());
        let plugin = fork.map_err(|error| (made.instance.clone(), error))?;
        let (instance, core) = (made.instance.clone(), made.core.clone());
        let (section, metrics) = (made.section.clone(), made.metrics.clone());
        Ok(Made { plugin, instance, core, section, metrics, processors: Vec::new() })
    });
    copies.collect()
}

fn lane_filters(filters: Vec<Made<dyn Filter>>, rows: &[Arc<FilterRow>]) -> Vec<LaneFilter> {
    let with_rows = filters.into_iter().zip(rows);
    with_rows
        .map(|(Made { plugin, instance, core, .. }, row)| LaneFilter {
            matching: core.matching,
            filter: plugin,
            outlet: Outlet::default(),
            row: Arc::clone(row),
            span: instance.span(),
            condition: core.condition,
        })
        .collect()
}
