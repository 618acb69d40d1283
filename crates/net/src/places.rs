//! Who may be connected: so many clients an input, and so many of all inputs together that descriptors are left for files and
//! outputs. When all places are taken, whoever has brought nothing for longest makes way for the next one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flb_plugin::{Generation, Service};
use tokio::sync::Notify;

/// The places that are taken at all inputs of an agent.
#[derive(Debug, Default)]
struct All(Mutex<Vec<Arc<Place>>>);

/// What a client that is at work has in place of the second when it last was.
const AT_WORK: u32 = u32::MAX;

/// The places of one input.
#[derive(Debug)]
pub struct Places {
    all: Arc<All>,
    /// Of all inputs.
    most: usize,
    /// Of this one.
    limit: usize,
    /// Seconds in which everybody may bring something.
    patience: u32,
    /// Which of all are this one's.
    own: Generation,
}

/// One client's place, free again when its last owner drops it.
#[derive(Debug)]
pub struct Place {
    input: Generation,
    patience: u32,
    /// When the client last brought something.
    last: AtomicU32,
    wanted: Notify,
}

impl Place {
    /// What the client has brought is being handed on: it must not be disturbed.
    pub fn begin(&self) {
        self.last.store(AT_WORK, Ordering::Relaxed);
    }

    /// That is done.
    pub fn done(&self, now: u32) {
        self.last.store(now.min(AT_WORK - 1), Ordering::Relaxed);
    }

    /// Completes when the client shall make way.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// When the client last brought something, if that is long enough ago.
    fn idle_since(&self, now: u32) -> Option<u32> {
        let last = self.last.load(Ordering::Relaxed);
        (last != AT_WORK && now.saturating_sub(last) >= self.patience).then_some(last)
    }
}

/// Why a client has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Crowded {
    /// The input has as many clients as it may have.
    #[error("net.max_connections is {0}, and all are in use")]
    Here(usize),
    /// The agent has as many clients as it may have.
    #[error("all inputs together have {0} connections, as many as the limit of open files allows")]
    Everywhere(usize),
}

impl Places {
    /// At most `limit` places, in which nobody is disturbed for `patience` seconds.
    pub fn new(limit: usize, patience: u32, service: &Service) -> Self {
        let made = service.shared.get_or_make(|| Ok::<_, std::convert::Infallible>(All::default()));
        let Ok(all) = made;
        Self { all, most: service.max_connections, limit, patience, own: Generation::default() }
    }

    /// A place for another client.
    pub fn take(&self, now: u32) -> Result<Arc<Place>, Crowded> {
        let mut taken = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What only this list knows is free.
        taken.retain(|place| Arc::strong_count(place) > 1);
        if taken.iter().filter(|place| self.is_own(place)).count() >= self.limit {
            clear(&mut taken, now, |place| self.is_own(place)).ok_or(Crowded::Here(self.limit))?;
        }
        if taken.len() >= self.most {
            clear(&mut taken, now, |_| true).ok_or(Crowded::Everywhere(self.most))?;
        }
        let (input, patience) = (self.own.clone(), self.patience);
        let place = Arc::new(Place { input, patience, last: now.into(), wanted: Notify::new() });
        taken.push(Arc::clone(&place));
        Ok(place)
    }

    fn is_own(&self, place: &Place) -> bool {
        place.input == self.own
    }
}

/// Clears the place, among those that `may`, of whoever has brought nothing for longest; `None` if nobody was idle for long.
fn clear(taken: &mut Vec<Arc<Place>>, now: u32, may: impl Fn(&Place) -> bool) -> Option<()> {
    let idle = taken.iter().enumerate().filter(|(_, place)| may(place));
    let idle = idle.filter_map(|(at, place)| Some((place.idle_since(now)?, at)));
    let (_, at) = idle.min()?;
    taken.remove(at).wanted.notify_one();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(limit: usize, service: &Service) -> Places {
        Places::new(limit, 10, service)
    }

    fn is_wanted(place: &Place) -> bool {
        use futures_util::FutureExt;
        place.wanted().now_or_never().is_some()
    }

    #[test]
    fn a_place_that_is_left_is_free() {
        let places = places(1, &Service::default());
        let first = places.take(5).unwrap();
        assert_eq!(places.take(5).unwrap_err(), Crowded::Here(1));
        drop(first);
        assert!(places.take(5).is_ok());
    }

    #[test]
    fn who_brought_nothing_for_longest_makes_way() {
        let places = places(3, &Service::default());
        let all = [0, 1, 2].map(|now| places.take(now).unwrap());
        all[0].done(5);
        assert_eq!(places.take(10).unwrap_err(), Crowded::Here(3), "nobody has waited for long");
        let _new = places.take(11).unwrap();
        let wanted = all.each_ref().map(|place| is_wanted(place));
        assert_eq!(wanted, [false, true, false]);
    }

    #[test]
    fn who_is_at_work_is_not_disturbed() {
        let places = places(1, &Service::default());
        let place = places.take(0).unwrap();
        place.begin();
        assert_eq!(places.take(100).unwrap_err(), Crowded::Here(1));
        place.done(100);
        assert!(places.take(109).is_err());
        assert!(places.take(110).is_ok() && is_wanted(&place));
    }

    #[test]
    fn all_inputs_together_have_so_many_places() {
        let service = Service { max_connections: 2, ..Service::default() };
        let (one, other) = (places(9, &service), places(9, &service));
        let first = one.take(0).unwrap();
        let second = one.take(1).unwrap();
        assert_eq!(other.take(5).unwrap_err(), Crowded::Everywhere(2));
        // Idle clients of one input do not keep those of another out.
        let _third = other.take(10).unwrap();
        assert!(is_wanted(&first) && !is_wanted(&second));
        assert_eq!(one.take(10).unwrap_err(), Crowded::Everywhere(2));
        drop(second);
        assert!(one.take(10).is_ok());
    }
}
