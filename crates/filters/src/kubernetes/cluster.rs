//! What is known of the cluster's pods and namespaces, and when somebody is asked for more.
//!
//! A lane waits for an answer once, and no longer than its patience. When a server has failed nobody waits for it until it
//! answers again: it is tried now and then in the background, and records pass with what their tag says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flb_event::Timestamp;
use flb_net::background::{Background, Board, timed};
use flb_plugin::log::{Kinds, Label};
use flb_plugin::{BuildError, Metric, Metrics};

use super::client::{Client, Failure, Outcome, Server};
use super::object::{Name, Object};
use super::options::Lives;

/// Exported as `flb_filter_failed_requests_total`.
pub(super) static FAILED: Metric =
    Metric::new("failed_requests", "Requests that failed, by reason.").by("reason");

/// How long a lane waits for an answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);

/// For how many seconds nobody asks again for what is not there.
const ABSENCE: u64 = 10;

/// The most seconds between two tries of a server that fails, and that it may ask for itself.
const LONGEST_PAUSE: u32 = 30;
const LONGEST_REQUEST: u32 = 300;

/// The most objects that are known at once, and the most bytes of them.
const MOST_OBJECTS: usize = 10_000;
const MOST_BYTES: usize = 64 << 20;

/// The cluster.
pub(super) struct Cluster {
    label: Label,
    client: Arc<Client>,
    lives: Lives,
    patience: Duration,
    known: Arc<Board<Known>>,
    background: Background,
    metrics: Metrics,
    kinds: Arc<Kinds>,
}

impl Cluster {
    /// Begins to know it.
    pub(super) fn new(
        label: Label,
        client: Client,
        lives: Lives,
        patience: Duration,
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        let background = Background::start("kubernetes")
            .map_err(|error| BuildError::new(format!("cannot start a thread: {error}")))?;
        Ok(Self {
            label,
            client: Arc::new(client),
            lives,
            patience,
            known: Arc::default(),
            background,
            metrics: metrics.clone(),
            kinds: Arc::default(),
        })
    }

    /// The object of a name, as far as it is known. A pod has a container of this ID, or it may be another one by now.
    pub(super) fn find(
        &self,
        name: &Name,
        id: Option<&[u8]>,
        now: Timestamp,
    ) -> Option<Arc<Object>> {
        let mut known = self.known.look();
        let id = id.filter(|_| self.lives.by_container);
        if let Some(entry) = known.objects.get(name)
            && entry.is_good(self.life(name), id, now)
        {
            return entry.object.clone();
        }
        let server = self.client.server_of(name);
        let trusts = known.health(server).failures == 0;
        if known.begin(server, name, now) {
            self.ask(name.clone(), server, now);
        }
        if trusts {
            known = self.known.wait_while(known, self.patience, |known| known.is_asked(name));
            known.note_late(server, name, now);
        }
        known.objects.get(name)?.object.clone()
    }

    /// Asks for an object that nobody waits for.
    pub(super) fn ask_ahead(&self, name: Name, now: Timestamp) {
        let server = self.client.server_of(&name);
        if self.known.look().begin(server, &name, now) {
            self.ask(name, server, now);
        }
    }

    fn life(&self, name: &Name) -> Option<u64> {
        if name.pod.is_some() { self.lives.pods } else { self.lives.namespaces }
    }

    fn ask(&self, name: Name, server: Server, now: Timestamp) {
        let (client, known) = (Arc::clone(&self.client), Arc::clone(&self.known));
        let (label, kinds) = (self.label.clone(), Arc::clone(&self.kinds));
        let (metrics, patience) = (self.metrics.clone(), self.patience);
        self.background.spawn(async move {
            let (outcome, took) = timed(client.ask(&name, now)).await;
            let place = format!("{server}, {}", client.address(server));
            if let Err(failure) = &outcome {
                metrics.counter_of(&FAILED, failure.word).add(1);
                tell(&label, &kinds, &place, failure);
            }
            known.change(|known| {
                if known.take(server, name, outcome, (now, took > patience)) {
                    tracing::info!("{label} {place}: connectivity OK");
                }
            });
        });
    }
}

fn tell(label: &Label, kinds: &Kinds, place: &str, failure: &Failure) {
    if let Some(times) = kinds.another(failure.word) {
        let help = failure.help.map(|help| format!("; help: {help}")).unwrap_or_default();
        tracing::warn!("{label} {place}: {}{help}{times}", failure.text);
    }
}

/// What is known.
#[derive(Default)]
struct Known {
    objects: BTreeMap<Name, Entry>,
    bytes: usize,
    servers: [Health; 2],
}

/// What is known of one name.
#[derive(Default)]
struct Entry {
    /// Nothing if it is not there, or not known yet.
    object: Option<Arc<Object>>,
    /// When it was asked for.
    since: Timestamp,
    /// Whether there is no answer yet.
    is_asked: bool,
}

/// How a server does.
#[derive(Default)]
struct Health {
    /// Whether it has ever answered.
    is_known: bool,
    /// How often in a row it has failed.
    failures: u32,
    /// The second from which it may be tried again.
    next: u32,
}

impl Entry {
    fn is_good(&self, life: Option<u64>, id: Option<&[u8]>, now: Timestamp) -> bool {
        let age = u64::from(now.sec.saturating_sub(self.since.sec));
        match &self.object {
            Some(object) => {
                life.is_none_or(|life| age < life)
                    && (age < ABSENCE || id.is_none_or(|id| object.has_id(id)))
            }
            None => !self.is_asked && age < ABSENCE,
        }
    }

    fn size(&self) -> usize {
        self.object.as_ref().map_or(0, |object| object.size())
    }
}

impl Health {
    fn put_off(&mut self, now: Timestamp, after: Option<Duration>) {
        let pause = 1_u32.checked_shl(self.failures.saturating_sub(1)).unwrap_or(LONGEST_PAUSE);
        let asked = after.map_or(0, |after| u32::try_from(after.as_secs()).unwrap_or(u32::MAX));
        let pause = pause.min(LONGEST_PAUSE).max(asked.min(LONGEST_REQUEST));
        self.next = now.sec.saturating_add(pause);
    }
}

impl Known {
    fn health(&mut self, server: Server) -> &mut Health {
        &mut self.servers[server as usize]
    }

    fn is_asked(&self, name: &Name) -> bool {
        self.objects.get(name).is_some_and(|entry| entry.is_asked)
    }

    /// Whether to ask for an object now; then it is asked for.
    fn begin(&mut self, server: Server, name: &Name, now: Timestamp) -> bool {
        if self.is_asked(name) {
            return false;
        }
        let health = self.health(server);
        if health.failures > 0 {
            if now.sec < health.next {
                return false;
            }
            health.put_off(now, None);
        }
        self.objects.entry(name.clone()).or_default().is_asked = true;
        true
    }

    /// Nobody waits for a server that has let somebody wait in vain.
    fn note_late(&mut self, server: Server, name: &Name, now: Timestamp) {
        if self.is_asked(name) {
            let health = self.health(server);
            health.failures = health.failures.max(1);
            health.put_off(now, None);
        }
    }

    /// Takes what came of a question that was asked then, and took too long to be waited for or not. Whether the server is as
    /// it should be, and was not before.
    fn take(
        &mut self,
        server: Server,
        name: Name,
        outcome: Outcome,
        (asked, is_slow): (Timestamp, bool),
    ) -> bool {
        match outcome {
            Ok(found) => {
                self.take_objects(name, found, asked);
                let health = self.health(server);
                let is_new = !health.is_known || health.failures > 0;
                *health = Health { is_known: true, failures: u32::from(is_slow), next: 0 };
                is_new && !is_slow
            }
            Err(Failure { is_objects: true, .. }) => {
                let old = self.objects.get(&name).and_then(|entry| entry.object.clone());
                self.put(name, old, asked);
                false
            }
            Err(Failure { after, .. }) => {
                let health = self.health(server);
                health.failures = health.failures.saturating_add(1);
                health.put_off(asked, after);
                self.end_without(&name);
                false
            }
        }
    }

    /// Takes objects; the one that was asked for is not there if it is not among them.
    fn take_objects(&mut self, name: Name, found: Vec<(Name, Object)>, asked: Timestamp) {
        let is_there = found.iter().any(|(other, _)| *other == name);
        for (name, object) in found {
            self.put(name, Some(Arc::new(object)), asked);
        }
        if !is_there {
            self.put(name, None, asked);
        }
        self.make_room();
    }

    /// The question has failed, and what was known stays so.
    fn end_without(&mut self, name: &Name) {
        let Some(entry) = self.objects.get_mut(name) else { return };
        entry.is_asked = false;
        if entry.object.is_none() {
            self.objects.remove(name);
        }
    }

    fn put(&mut self, name: Name, object: Option<Arc<Object>>, since: Timestamp) {
        let entry = Entry { object, since, ..Entry::default() };
        self.bytes += entry.size();
        let old = self.objects.insert(name, entry);
        self.bytes -= old.map_or(0, |old| old.size());
    }

    /// Forgets the oldest, as long as there are too many.
    fn make_room(&mut self) {
        while self.objects.len() > MOST_OBJECTS || self.bytes > MOST_BYTES {
            let settled = self.objects.iter().filter(|(_, entry)| !entry.is_asked);
            let oldest = settled.min_by_key(|(_, entry)| entry.since).map(|(name, _)| name.clone());
            let Some(oldest) = oldest.and_then(|name| self.objects.remove(&name)) else { return };
            self.bytes -= oldest.size();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::object;
    use super::*;

    #[test]
    fn the_oldest_make_room_for_the_newest() {
        let check = |count: u32, labels: usize, most: usize| {
            let mut known = Known::default();
            let name = |number| Name::pod(b"shop", format!("web-{number}").as_bytes()).unwrap();
            for number in 0..count {
                let labels = "x".repeat(labels);
                let text = format!(
                    r#"{{"metadata":{{"name":"web-{number}","namespace":"shop","labels":"{labels}"}}}}"#
                );
                let found = object::read(text.as_bytes()).unwrap();
                known.take_objects(name(number), found, Timestamp { sec: number, nsec: 0 });
            }
            assert!(known.objects.len() <= most && known.bytes <= MOST_BYTES);
            assert_eq!(known.bytes, known.objects.values().map(Entry::size).sum::<usize>());
            assert!(known.objects.contains_key(&name(count - 1)));
            assert!(!known.objects.contains_key(&name(0)));
        };
        check(10_010, 1, MOST_OBJECTS);
        check(70, 1 << 20, 64);
    }
}
