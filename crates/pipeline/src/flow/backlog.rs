//! What waits for an output: a line of chunks for each tag, each in the order of its chunks.
//!
//! Only the first chunk of a line is ever tried, so the order of a tag is kept whatever fails. A line whose first chunk
//! waits for a retry holds up nobody but itself. Each chunk has all its tries itself; but those that stand behind a chunk
//! that fails have their waits meanwhile, as if they had been tried and failed, too. So they are given up no sooner than they
//! would have been alone, and a dead output drops old chunks at the pace at which new ones come.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use flb_event::Tag;
use tokio::time::Instant;

use super::retry::Backoff;
use super::task::Task;

/// All lines of one output.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    lines: BTreeMap<Tag, Line>,
    /// Lines whose first chunk may be tried, by its number.
    ready: BTreeMap<u64, Tag>,
    /// Lines whose first chunk waits, by when it is due.
    waiting: BTreeMap<(Instant, u64), Tag>,
    /// The stored chunks, by their numbers, and their size.
    stored: BTreeMap<u64, Tag>,
    stored_bytes: usize,
    /// How many chunks have come since those were looked for that gave way.
    unswept: usize,
}

/// The chunks of one tag. Never empty.
#[derive(Debug)]
struct Line {
    chunks: VecDeque<Place>,
    /// Whether the last try failed, and the output has not answered since.
    fails: bool,
    state: State,
}

#[derive(Debug)]
struct Place {
    task: Arc<Task>,
    /// How often this chunk itself failed.
    failures: u32,
    /// When it would have been tried last if it had not stood behind one that fails.
    behind: Option<Instant>,
}

impl Place {
    fn new(task: Arc<Task>) -> Self {
        Self { task, failures: 0, behind: None }
    }
}

/// What the first chunk of a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Waiting(Instant),
    /// It is being delivered.
    Away,
}

impl Backlog {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Adds a chunk at the end of its tag's line.
    pub(crate) fn push(&mut self, task: Arc<Task>, now: Instant) {
        let (tag, number) = (task.tag().clone(), task.number);
        if task.is_stored() {
            self.stored_bytes += task.bytes();
            self.stored.insert(number, tag.clone());
        }
        self.unswept += 1;
        let place = Place::new(task);
        if let Some(line) = self.lines.get_mut(&tag) {
            let behind = line.fails.then_some(now);
            line.chunks.push_back(Place { behind, ..place });
            return;
        }
        self.ready.insert(number, tag.clone());
        self.lines.insert(tag, Line { chunks: [place].into(), fails: false, state: State::Ready });
    }

    /// When the next chunk that waits is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    /// Takes the oldest chunk that may be tried now. Its line then stands until the chunk's fate is told.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Arc<Task>> {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= now
        {
            let ((_, number), tag) = entry.remove_entry();
            if let Some(line) = self.lines.get_mut(&tag) {
                line.state = State::Ready;
            }
            self.ready.insert(number, tag);
        }
        let (_, tag) = self.ready.pop_first()?;
        let line = self.lines.get_mut(&tag)?;
        line.state = State::Away;
        line.chunks.front().map(|place| Arc::clone(&place.task))
    }

    /// The output took or refused the first chunk of `tag`, so it is not down: from now on each chunk's waits begin with
    /// its own first failure. How often the first one had failed.
    pub(crate) fn answered(&mut self, tag: &Tag) -> u32 {
        let Some(line) = self.lines.get_mut(tag) else { return 0 };
        if std::mem::take(&mut line.fails) {
            line.chunks.iter_mut().for_each(|place| place.behind = None);
        }
        line.chunks.front().map_or(0, |first| first.failures)
    }

    /// Whether the last try of any line failed, and the output has not answered since.
    pub(crate) fn fails(&self) -> bool {
        self.lines.values().any(|line| line.fails)
    }

    /// The fate of the first chunk of `tag` is settled: the next one's turn.
    pub(crate) fn leave(&mut self, tag: &Tag) {
        let Some(line) = self.lines.get_mut(tag) else { return };
        let left = line.chunks.pop_front();
        line.state = State::Ready;
        match line.chunks.front() {
            Some(next) => drop(self.ready.insert(next.task.number, tag.clone())),
            None => drop(self.lines.remove(tag)),
        }
        left.iter().for_each(|place| self.forget(&place.task));
    }

    /// The first chunk of `tag` failed. How often it has by now.
    pub(crate) fn failed(&mut self, tag: &Tag, now: Instant) -> u32 {
        let Some(line) = self.lines.get_mut(tag) else { return 0 };
        if !std::mem::replace(&mut line.fails, true) {
            line.chunks.iter_mut().skip(1).for_each(|place| place.behind = Some(now));
        }
        let Some(first) = line.chunks.front_mut() else { return 0 };
        first.failures = first.failures.saturating_add(1);
        first.failures
    }

    /// The first chunk of `tag` is tried again after `wait`, or sooner if it had that behind another one. When it is due.
    pub(crate) fn put_off(&mut self, tag: &Tag, now: Instant, wait: Duration) -> Instant {
        let Some(line) = self.lines.get_mut(tag) else { return now };
        let Some(first) = line.chunks.front_mut() else { return now };
        let mut due = first.behind.take().unwrap_or(now) + wait;
        let soonest = now + wait.min(Backoff::CATCHING_UP);
        if due < soonest {
            first.behind = Some(due);
            due = soonest;
        }
        line.state = State::Waiting(due);
        self.waiting.insert((due, first.task.number), tag.clone());
        due
    }

    /// All chunks, those under way included.
    pub(crate) fn into_tasks(self) -> Vec<Arc<Task>> {
        let places = self.lines.into_values().flat_map(|line| line.chunks);
        places.map(|place| place.task).collect()
    }

    /// Size of all stored chunks.
    pub(crate) fn stored_bytes(&self) -> usize {
        self.stored_bytes
    }

    /// Takes out the oldest stored chunk that is not being delivered.
    pub(crate) fn evict(&mut self) -> Option<Arc<Task>> {
        let is_away = |(number, tag): &(&u64, &Tag)| {
            let line = self.lines.get(*tag).filter(|line| line.state == State::Away);
            line.and_then(|line| line.chunks.front()).is_some_and(|at| at.task.number == **number)
        };
        let (number, tag) = self.stored.iter().find(|stored| !is_away(stored))?;
        self.take_out(&tag.clone(), *number)
    }

    /// Whether so many chunks have come since chunks were looked for that gave way that it pays to look at each line again.
    pub(crate) fn is_unswept(&self) -> bool {
        self.unswept >= self.lines.len()
    }

    /// Takes out the chunks that gave way to newer ones, the oldest first.
    pub(crate) fn sweep(&mut self) -> Vec<Arc<Task>> {
        self.unswept = 0;
        let gone = self.lines.iter().flat_map(|(tag, line)| {
            let waiting = line.chunks.iter().skip(usize::from(line.state == State::Away));
            let gone = waiting.take_while(|place| place.task.is_gone());
            gone.map(|place| (place.task.number, tag.clone()))
        });
        let mut gone: Vec<(u64, Tag)> = gone.collect();
        gone.sort_unstable();
        gone.iter().filter_map(|(number, tag)| self.take_out(tag, *number)).collect()
    }

    /// Takes a chunk out of its line, wherever it stands there.
    fn take_out(&mut self, tag: &Tag, number: u64) -> Option<Arc<Task>> {
        let line = self.lines.get_mut(tag)?;
        let at = line.chunks.iter().position(|place| place.task.number == number)?;
        let Place { task, .. } = line.chunks.remove(at)?;
        self.forget(&task);
        if at == 0 {
            self.replace_first(tag, number);
        }
        Some(task)
    }

    /// Counts a chunk no more.
    fn forget(&mut self, task: &Task) {
        if self.stored.remove(&task.number).is_some() {
            self.stored_bytes -= task.bytes();
        }
    }

    /// The first chunk of `tag`, which had this number, is gone: the next one takes its place, and waits if it waited.
    fn replace_first(&mut self, tag: &Tag, number: u64) {
        let Some(line) = self.lines.get(tag) else { return };
        let next = line.chunks.front().map(|next| next.task.number);
        if let State::Waiting(due) = line.state {
            self.waiting.remove(&(due, number));
            next.map(|next| self.waiting.insert((due, next), tag.clone()));
        } else {
            self.ready.remove(&number);
            next.map(|next| self.ready.insert(next, tag.clone()));
        }
        if next.is_none() {
            self.lines.remove(tag);
        }
    }

    /// Makes all that waits due at `latest`.
    pub(crate) fn hurry(&mut self, latest: Instant) {
        for ((due, number), tag) in std::mem::take(&mut self.waiting) {
            let due = due.min(latest);
            if let Some(line) = self.lines.get_mut(&tag) {
                line.state = State::Waiting(due);
            }
            self.waiting.insert((due, number), tag);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use flb_event::{ChunkBuilder, Event, Timestamp};

    use super::*;
    use crate::books::InputRow;
    use crate::flow::Full;
    use crate::instance::Instance;
    use crate::storage::{ChunkName, Held, Slots, StoredFile, Waiting};
    use flb_config::Role;

    /// An empty chunk for one output.
    pub(crate) fn task(number: u64, tag: &str) -> Arc<Task> {
        task_in(number, tag, None)
    }

    fn task_in(number: u64, tag: &str, file: Option<StoredFile>) -> Arc<Task> {
        let name = "in.0".into();
        let instance = Instance::new(Role::Input, "in", name);
        let row = Arc::new(InputRow::new(instance, None));
        row.chunks.add(1);
        let held = Held::new(&row.buffer, 0);
        let mut builder = ChunkBuilder::new(Tag::new(tag).unwrap());
        let time = Timestamp::default();
        builder.push(Event { time, metadata: Event::NO_METADATA, body: &[0x80] }).unwrap();
        let name = ChunkName { created: Timestamp::default(), process: 1 };
        let full = Full { name, chunk: builder.build(), held, file, is_up: true };
        Arc::new(Task::new(number, &row, full, 1, Some(&Slots::new(9))))
    }

    /// A backlog with these tags' chunks, numbered from 0.
    fn backlog(tags: &[&str]) -> Backlog {
        let mut backlog = Backlog::default();
        for (number, tag) in tags.iter().enumerate() {
            backlog.push(task(number as u64, tag), Instant::now());
        }
        backlog
    }

    fn tag(text: &str) -> Tag {
        Tag::new(text).unwrap()
    }

    fn take(backlog: &mut Backlog, now: Instant) -> Option<u64> {
        backlog.take(now).map(|task| task.number)
    }

    #[tokio::test]
    async fn chunks_of_a_tag_go_one_after_the_other_and_tags_side_by_side() {
        let now = Instant::now();
        let mut backlog = backlog(&["a", "a", "b"]);
        assert_eq!(take(&mut backlog, now), Some(0));
        assert_eq!(take(&mut backlog, now), Some(2));
        assert_eq!(take(&mut backlog, now), None);
        backlog.leave(&tag("a"));
        assert_eq!(take(&mut backlog, now), Some(1));
        backlog.leave(&tag("b"));
        backlog.leave(&tag("a"));
        assert!(backlog.is_empty());
    }

    #[tokio::test]
    async fn a_chunk_that_waits_holds_up_its_own_tag_only() {
        let now = Instant::now();
        let wait = Duration::from_secs(5);
        let later = now + wait;
        let mut backlog = backlog(&["a", "a", "b"]);
        assert_eq!(take(&mut backlog, now), Some(0));
        assert_eq!(backlog.put_off(&tag("a"), now, wait), later);
        assert_eq!(take(&mut backlog, now), Some(2));
        assert_eq!(take(&mut backlog, now), None);
        assert_eq!(backlog.due(), Some(later));
        assert_eq!(take(&mut backlog, later), Some(0));
        backlog.put_off(&tag("a"), later, wait);
        backlog.hurry(now);
        assert_eq!(take(&mut backlog, now), Some(0));
    }

    #[tokio::test]
    async fn each_chunk_has_its_own_tries_and_waits_from_when_it_would_have_failed() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let wait = Duration::from_secs(8);
        let mut backlog = backlog(&["a", "a"]);
        take(&mut backlog, start);
        assert_eq!(backlog.failed(&tag("a"), at(0)), 1);
        assert_eq!(backlog.put_off(&tag("a"), at(0), wait), at(8));
        backlog.push(task(2, "a"), at(5));
        take(&mut backlog, at(8));
        assert_eq!(backlog.failed(&tag("a"), at(8)), 2);
        backlog.leave(&tag("a"));
        // The second one stood there when the first one failed, so it has had its wait, but no try.
        assert_eq!(take(&mut backlog, at(8)), Some(1));
        assert_eq!(backlog.failed(&tag("a"), at(8)), 1);
        let soon = at(8) + Backoff::CATCHING_UP;
        assert_eq!(backlog.put_off(&tag("a"), at(8), wait), soon);
        assert_eq!((take(&mut backlog, at(8)), take(&mut backlog, soon)), (None, Some(1)));
        assert_eq!(backlog.failed(&tag("a"), soon), 2);
        backlog.leave(&tag("a"));
        // The third one came five seconds later.
        assert_eq!(take(&mut backlog, soon), Some(2));
        assert_eq!(backlog.failed(&tag("a"), soon), 1);
        assert_eq!(backlog.put_off(&tag("a"), soon, wait), at(13));
        backlog.push(task(3, "a"), at(13));
        assert_eq!(take(&mut backlog, at(13)), Some(2));
        assert_eq!(backlog.answered(&tag("a")), 1);
        backlog.leave(&tag("a"));
        // The output has answered, so what the last one waits for begins with its own failure.
        assert_eq!(take(&mut backlog, at(14)), Some(3));
        assert_eq!(backlog.failed(&tag("a"), at(14)), 1);
        assert_eq!(backlog.put_off(&tag("a"), at(14), wait), at(22));
    }

    #[tokio::test]
    async fn what_gave_way_is_looked_for_when_as_many_chunks_have_come_as_there_are_lines() {
        let tags: Vec<String> = (0..100).map(|number| format!("t{number}")).collect();
        let mut backlog = backlog(&tags.iter().map(String::as_str).collect::<Vec<_>>());
        let now = Instant::now();
        assert_eq!(take(&mut backlog, now), Some(0));
        assert!(backlog.is_unswept());
        let gone = |number: u64| {
            let task = task(number, "t0");
            assert!(Waiting::give_way(&*task));
            task
        };
        backlog.push(gone(100), now);
        backlog.push(gone(101), now);
        backlog.push(task(102, "t0"), now);
        let swept: Vec<u64> = backlog.sweep().iter().map(|task| task.number).collect();
        assert_eq!(swept, [100, 101]);
        for number in 103..202 {
            backlog.push(task(number, "t0"), now);
            assert!(!backlog.is_unswept());
        }
        backlog.push(task(202, "t0"), now);
        assert!(backlog.is_unswept() && backlog.sweep().is_empty());
        backlog.leave(&tag("t0"));
        assert_eq!(take(&mut backlog, now), Some(1));
    }

    #[tokio::test]
    async fn the_oldest_stored_chunk_gives_way_unless_it_is_being_delivered() {
        let now = Instant::now();
        let mut backlog = backlog(&["memory"]);
        for (number, tag) in [(1, "a"), (2, "b"), (3, "a"), (4, "b")] {
            let file = StoredFile { path: "no/file".into() };
            backlog.push(task_in(number, tag, Some(file)), now);
        }
        let size = backlog.stored_bytes() / 4;
        assert_eq!([take(&mut backlog, now), take(&mut backlog, now)], [Some(0), Some(1)]);
        assert_eq!(take(&mut backlog, now), Some(2));
        backlog.put_off(&tag("b"), now, Duration::ZERO);
        let mut evicted = || backlog.evict().map(|task| task.number);
        assert_eq!([evicted(), evicted(), evicted(), evicted()], [Some(2), Some(3), Some(4), None]);
        assert_eq!(backlog.stored_bytes(), size);
        assert_eq!((take(&mut backlog, now), backlog.due()), (None, None));
        backlog.leave(&tag("a"));
        backlog.leave(&tag("memory"));
        assert!(backlog.is_empty());
    }
}
