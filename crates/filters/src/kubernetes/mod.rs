//! `kubernetes`: adds to records what the API knows of the pod that they come from, and does with them what the pod wishes.

mod annotations;
mod client;
mod cluster;
mod describe;
mod merge;
mod object;
mod options;
#[cfg(test)]
mod oracle;
mod tag;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flb_event::{Chunk, Event, Timestamp, msgpack};
use flb_plugin::log::{Label, Mishaps};
use flb_plugin::{Build, BuildError, Counter, Filter, Metric, Options, Outlet, Spec, Table};

use super::each::{Decision, each};
use super::entries::Entries;
use annotations::{Allowed, Stream, Wishes};
use client::Client;
use cluster::{Cluster, PATIENCE};
use describe::Wanted;
use merge::Merge;
use object::{Name, Object};
use options::{Access, Merging};
use tag::{Form, Source};

/// Exported as `flb_filter_bare_records_total`.
static BARE: Metric =
    Metric::new("bare_records", "Records that got only what their tag says of their pod.")
        .worded("without metadata");

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "kubernetes",
    about: "Add what the API of Kubernetes knows of a record's pod",
    options: Table(&[options::KEYS]),
    build,
};

/// The field of a journal's record that names its container.
const CONTAINER_NAME: &str = "CONTAINER_NAME";

/// The most places that a lane remembers, and the most bytes of what it has for them.
const MOST_PLACES: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    build_patient(options, build, PATIENCE)
}

fn build_patient(
    options: &Options,
    build: &Build<'_>,
    patience: Duration,
) -> Result<Box<dyn Filter>, BuildError> {
    let label = Label::filter(SPEC.name, build);
    let wanted = options::wanted(options);
    if let Some(why) = options::in_vain(options) {
        tracing::warn!("{label} use_pod_association has no effect: {why}");
    }
    let way = Way::of(options);
    let access = Access::of(options, build)?;
    let asks = way != Way::Example && !options.get(options::USE_TAG_FOR_META);
    let is_idle = build.service.dry_run || !(wanted.pod || wanted.namespace());
    let cluster = (asks && !is_idle).then(|| cluster(&label, access, build, patience));
    Ok(Box::new(Kubernetes::new(Arc::new(Settings {
        form: form(options, build)?,
        prefix: options.get(options::KUBE_TAG_PREFIX).len(),
        way,
        wanted,
        merging: Merging::of(options, build)?,
        allowed: Allowed {
            parsers: options.get(options::PARSER_BY_PODS).then(|| build.parsers.clone()),
            exclude: options.get(options::EXCLUDE_BY_PODS),
            label: label.clone(),
            mishaps: Mishaps::default(),
        },
        cluster: cluster.transpose()?,
        bare: build.metrics.counter(&BARE),
        strangers: Mishaps::default(),
        label,
    }))))
}

/// The cluster. If the agent is in a pod itself, that is asked for at once, which shows whether asking works.
fn cluster(
    label: &Label,
    access: Access,
    build: &Build<'_>,
    patience: Duration,
) -> Result<Cluster, BuildError> {
    let (own, lives) = (own_pod(&access.namespace_file, build), access.lives);
    let client = Client::new(label.clone(), access, patience);
    let cluster = Cluster::new(label.clone(), client, lives, patience, build.metrics)?;
    if let Some(own) = own {
        // What is known from before all time is asked for anew when it has a time.
        cluster.ask_ahead(own, Timestamp::default());
    }
    Ok(cluster)
}

/// The pod that the agent is in, if it is in one.
fn own_pod(namespace: &Path, build: &Build<'_>) -> Option<Name> {
    let namespace = std::fs::read(namespace).ok()?;
    let host = build.service.variables.get("HOSTNAME")?;
    Name::pod(namespace.trim_ascii(), host.as_bytes())
}

fn form(options: &Options, build: &Build<'_>) -> Result<Form, BuildError> {
    if let Some(name) = options.get(options::REGEX_PARSER) {
        return options::parser(name, build).map(Form::Parser);
    }
    let form =
        if options.get(options::USE_JOURNAL) { Form::of_journal() } else { Form::of_files() };
    form.map_err(|error| BuildError::new(error.to_string()))
}

/// What says which pod a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tag,
    Journal,
    /// Nothing: it gets an example.
    Example,
}

impl Way {
    fn of(options: &Options) -> Self {
        if options.get(options::DUMMY_META) {
            Self::Example
        } else if options.get(options::USE_JOURNAL) {
            Self::Journal
        } else {
            Self::Tag
        }
    }
}

/// What all lanes share.
struct Settings {
    label: Label,
    way: Way,
    form: Form,
    /// The length of what stands before the file's name in a tag.
    prefix: usize,
    wanted: Wanted,
    merging: Merging,
    allowed: Allowed,
    /// What is known of the cluster, if anybody is asked.
    cluster: Option<Cluster>,
    bare: Counter,
    /// Tags that are of no container.
    strangers: Mishaps,
}

/// What a container's records get, and what becomes of them.
struct Addition {
    entries: Entries,
    wishes: Wishes,
    is_bare: bool,
}

/// The filter.
struct Kubernetes {
    settings: Arc<Settings>,
    places: Places,
    merge: Merge,
}

impl Kubernetes {
    fn new(settings: Arc<Settings>) -> Self {
        Self { settings, places: Places::default(), merge: Merge::default() }
    }
}

impl Filter for Kubernetes {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let now = outlet.now();
        let Self { settings, places, merge } = self;
        let settings: &Settings = settings;
        match settings.way {
            Way::Journal => each(batch, outlet, |event, body| {
                let place = object::get(event.body, CONTAINER_NAME).and_then(msgpack::as_str);
                let addition = place.and_then(|place| places.find(settings, place, now));
                addition.map_or(Decision::Keep, |addition| {
                    settings.decide(&addition, event, now, merge, body)
                })
            }),
            way => {
                let addition = match way {
                    Way::Example => Some(Arc::new(Addition::example(now))),
                    _ => settings.place(&batch).and_then(|place| places.find(settings, place, now)),
                };
                match addition {
                    Some(addition) => each(batch, outlet, |event, body| {
                        settings.decide(&addition, event, now, merge, body)
                    }),
                    None => settings.pass_stranger(batch, outlet),
                }
            }
        }
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        Ok(Box::new(Self::new(Arc::clone(&self.settings))))
    }
}

impl Settings {
    /// The part of a tag that is the name of a log file.
    fn place<'b>(&self, batch: &'b Chunk) -> Option<&'b [u8]> {
        batch.tag().as_str().as_bytes().get(self.prefix..)
    }

    fn pass_stranger(&self, batch: Chunk, outlet: &mut Outlet) {
        if let Some(total) = self.strangers.another() {
            let (label, tag) = (&self.label, batch.tag().as_str());
            tracing::warn!(
                "{label} the tag {tag} is of no container, so its records pass as they are; help: check \
                 Kube_Tag_Prefix and the input's Tag ({total} so far)"
            );
        }
        outlet.keep(batch);
    }

    /// What becomes of a record.
    fn decide(
        &self,
        addition: &Addition,
        event: &Event<'_>,
        now: Timestamp,
        merge: &mut Merge,
        body: &mut Vec<u8>,
    ) -> Decision {
        let Addition { entries, wishes, is_bare } = addition;
        let stream = if wishes.is_empty() { None } else { stream(event.body) };
        if wishes.excludes(stream) {
            return Decision::Drop;
        }
        self.bare.add(u64::from(*is_bare));
        let mut time = None;
        if self.merging.is_on {
            let parser = wishes.parser(stream).map(|parser| &**parser);
            time = merge.write(event.body, now, &self.merging, parser, body);
        } else {
            body.extend_from_slice(event.body);
        }
        entries.append_to(body);
        time.map_or(Decision::Replace, Decision::ReplaceAt)
    }

    /// What is known of a place now.
    fn known(&self, source: &Source, names: &Names, now: Timestamp) -> Known {
        let Some(cluster) = &self.cluster else { return Known::default() };
        let pod = names.pod.as_ref().filter(|_| self.wanted.pod);
        let namespace = names.namespace.as_ref().filter(|_| self.wanted.namespace());
        Known {
            pod: pod.and_then(|name| cluster.find(name, source.docker_id.as_deref(), now)),
            namespace: namespace.and_then(|name| cluster.find(name, None, now)),
        }
    }

    fn addition(&self, source: &Source, names: &Names, known: &Known) -> Addition {
        let (pod, namespace) = (known.pod.as_deref(), known.namespace.as_deref());
        let annotations = pod.and_then(|pod| pod.annotations.as_deref());
        let wishes = names.pod.as_ref().zip(annotations).map(|(name, annotations)| {
            self.allowed.wishes(name, annotations, source.container.as_deref())
        });
        Addition {
            entries: describe::describe(source, &self.wanted, pod, namespace),
            wishes: wishes.unwrap_or_default(),
            is_bare: self.cluster.is_some() && self.wanted.pod && pod.is_none(),
        }
    }
}

impl Addition {
    fn example(now: Timestamp) -> Self {
        let entries = describe::example(&now.sec.to_string());
        Self { entries, wishes: Wishes::default(), is_bare: false }
    }
}

/// The stream that a record was written to.
fn stream(record: &[u8]) -> Option<Stream> {
    Stream::named(msgpack::as_str(object::get(record, "stream")?)?)
}

/// What is known of a place's pod and namespace.
#[derive(Default)]
struct Known {
    pod: Option<Arc<Object>>,
    namespace: Option<Arc<Object>>,
}

impl PartialEq for Known {
    /// Whether it is the same, and not only alike.
    fn eq(&self, other: &Self) -> bool {
        let address = |object: &Option<Arc<Object>>| object.as_ref().map(Arc::as_ptr);
        address(&self.pod) == address(&other.pod)
            && address(&self.namespace) == address(&other.namespace)
    }
}

/// What a place's pod and namespace are asked for by, if they have names that may be asked for.
struct Names {
    pod: Option<Name>,
    namespace: Option<Name>,
}

/// The places that a lane has met, by what a tag or a journal says of them.
#[derive(Default)]
struct Places {
    met: BTreeMap<Box<[u8]>, Place>,
    bytes: usize,
}

/// A place: whose it is, and what its records get.
struct Place {
    source: Source,
    names: Names,
    known: Known,
    addition: Arc<Addition>,
}

impl Places {
    /// What records of this place get; nothing if it is no container's.
    fn find(&mut self, settings: &Settings, text: &[u8], now: Timestamp) -> Option<Arc<Addition>> {
        if let Some(place) = self.met.get_mut(text) {
            let before = place.size();
            place.look_again(settings, now);
            self.bytes = self.bytes + place.size() - before;
            return Some(Arc::clone(&place.addition));
        }
        let place = Place::new(settings, settings.form.read(text, now)?, now);
        if self.met.len() >= MOST_PLACES || self.bytes > MOST_BYTES {
            *self = Self::default();
        }
        let addition = Arc::clone(&place.addition);
        self.bytes += place.size();
        self.met.insert(text.into(), place);
        Some(addition)
    }
}

impl Place {
    fn new(settings: &Settings, source: Source, now: Timestamp) -> Self {
        let names = Names { pod: source.pod_name(), namespace: source.namespace_name() };
        let known = settings.known(&source, &names, now);
        let addition = Arc::new(settings.addition(&source, &names, &known));
        Self { source, names, known, addition }
    }

    fn look_again(&mut self, settings: &Settings, now: Timestamp) {
        let known = settings.known(&self.source, &self.names, now);
        if known != self.known {
            self.addition = Arc::new(settings.addition(&self.source, &self.names, &known));
            self.known = known;
        }
    }

    /// How many bytes it takes, more or less.
    fn size(&self) -> usize {
        let objects = [&self.known.pod, &self.known.namespace].into_iter().flatten();
        let objects: usize = objects.map(|object| object.size()).sum();
        objects + self.addition.entries.bytes.len() + size_of::<Self>()
    }
}
