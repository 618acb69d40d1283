//! A running guest: its store, memory and functions, and how bytes get in and out.

use std::sync::Arc;
use std::time::Duration;

use flb_artifact::Arguments;
use wasmtime::{Global, Instance, Memory, Store, TypedFunc};

use crate::abi::{Function, Returned};
use crate::failure::failure;
use crate::interrupt::Lane;
use crate::state::State;
use crate::{FilterError, FilterModule, LoadError, Recycle};

/// Exports that the compiler adds; see `docs/artifact-format.md`.
pub(crate) const MEMORY: &str = "flb:memory";
const PAGES: &str = "flb:pages";
const LIMIT: &str = "flb:limit";
/// The module's way to say that its answers are to be freed, and how; see `docs/abi.md`.
pub(crate) const FREE_RESULT: &str = "flb_free_result";
/// Bytes in a page of WebAssembly memory.
const PAGE: u64 = 64 << 10;

/// One instance of the module.
pub(crate) struct Guest {
    store: Store<State>,
    /// Where it stands.
    pub(crate) lane: Arc<Lane>,
    memory: Memory,
    filter: Function,
    place: Place,
    /// Frees an answer.
    free_result: Option<TypedFunc<u32, ()>>,
    /// Calls so far.
    calls: u64,
    /// The size in pages that the guest sees, where the memory itself has a fixed one.
    pages: Option<Global>,
    deadline: Duration,
}

/// Where arguments go.
enum Place {
    /// The host's own pages: address and size.
    Pages { offset: usize, size: usize },
    /// The guest's allocator.
    Malloc { malloc: TypedFunc<u32, u32>, free: TypedFunc<u32, ()> },
    /// AssemblyScript's allocator: what is pinned is not collected.
    New { new: TypedFunc<(u32, u32), u32>, pin: TypedFunc<u32, u32>, unpin: TypedFunc<u32, ()> },
}

/// Where a call's arguments are, to be freed after it.
#[derive(Clone, Copy)]
pub(crate) struct Placed {
    tag: u32,
    tag_len: u32,
    record: u32,
    record_len: u32,
}

impl Placed {
    /// Whether an address lies in one of the arguments, the NUL behind it included.
    fn has(self, address: u32) -> bool {
        let within = |at: u32, len: u32| address.checked_sub(at).is_some_and(|from| from <= len);
        within(self.tag, self.tag_len) || within(self.record, self.record_len)
    }
}

impl Guest {
    /// Instantiates the module, runs its start function and its constructors.
    pub(crate) fn start(module: &FilterModule) -> Result<Self, LoadError> {
        let options = module.options();
        let start_deadline = options.start_deadline.unwrap_or(options.deadline);
        let (ready, memory_limit) = (module.ready(), options.memory_limit);
        let arguments = ready.interface().arguments;
        let lane = ready.lane(start_deadline);
        let mut state = State::new(arguments, memory_limit, &options.sandbox, Arc::clone(&lane))?;
        state.is_first = true;
        let mut store = Store::new(ready.pre.module().engine(), state);
        let instance = ready.instantiate(&mut store, memory_limit);
        let instance = instance.map_err(|error| failed(&error, &store))?;
        let memory = instance
            .get_memory(&mut store, MEMORY)
            .ok_or_else(|| missing("a memory, so its result can't be read"))?;
        let mut run = |name: &str| {
            let function = instance.get_typed_func::<(), ()>(&mut store, name).ok()?;
            lane.restart();
            let result = lane.run(&mut store, |store| function.call(store, ()));
            Some(result.map_err(|error| failed(&error, &store)))
        };
        ["_initialize", "__wasm_call_ctors"].into_iter().find_map(&mut run).transpose()?;
        let filter = Function::find(&mut store, &instance, &options.function);
        let filter = filter.map_err(|error| failed(&error, &store))?;
        let place = place(&mut store, &instance, arguments)?;
        // Its type was checked when the module was loaded.
        let free_result = instance.get_typed_func(&mut store, FREE_RESULT).ok();
        let pages = instance.get_global(&mut store, PAGES);
        let deadline = options.deadline;
        Ok(Self { store, lane, memory, filter, place, free_result, calls: 0, pages, deadline })
    }

    /// Copies tag and record into the guest's memory, each with a NUL behind it.
    pub(crate) fn place(&mut self, tag: &[u8], record: &[u8]) -> Result<Placed, FilterError> {
        self.lane.restart();
        self.store.data_mut().bounds.begin();
        // Both are found room for in a 32-bit memory below.
        let (tag_len, record_len) = (tag.len() as u32, record.len() as u32);
        let placed = match &self.place {
            Place::Pages { offset, size } => {
                let record_at = offset + (tag.len() + 1).next_multiple_of(16);
                if record_at + record.len() + 1 > offset + size {
                    return Err(FilterError::Memory {
                        reason: format!(
                            "the record takes {} bytes, the guest has room for {size}",
                            record.len()
                        ),
                    });
                }
                // Both lie in a 32-bit memory: the compiler checked it.
                Placed { tag: *offset as u32, tag_len, record: record_at as u32, record_len }
            }
            Place::Malloc { .. } | Place::New { .. } => {
                // The large one first: where it finds no room, nothing is left behind.
                let record = self.allocate(record.len() + 1)?;
                let tag = self.allocate(tag.len() + 1)?;
                Placed { tag, tag_len, record, record_len }
            }
        };
        self.write(placed.tag, tag)?;
        self.write(placed.record, record)?;
        Ok(placed)
    }

    fn allocate(&mut self, length: usize) -> Result<u32, FilterError> {
        let none = |store: &Store<State>| {
            let why = store.data().bounds.refusal().map(|full| format!("; {full}"));
            let why = why.unwrap_or_default();
            FilterError::Memory {
                reason: format!("the guest's malloc has no {length} bytes left{why}"),
            }
        };
        let wanted = u32::try_from(length).map_err(|_| none(&self.store))?;
        let Self { lane, store, place, .. } = self;
        let allocated = match place {
            Place::Malloc { malloc, .. } => {
                lane.run(&mut *store, |store| malloc.call(store, wanted))
            }
            // The id is that of any object.
            Place::New { new, pin, .. } => lane
                .run(&mut *store, |store| new.call(store, (wanted, 0)))
                .and_then(|pointer| lane.run(&mut *store, |store| pin.call(store, pointer))),
            Place::Pages { .. } => Ok(0),
        };
        match allocated.map_err(|error| failure(&error, store.data()))? {
            0 => Err(none(store)),
            pointer => Ok(pointer),
        }
    }

    /// Writes `bytes` and a NUL.
    fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), FilterError> {
        let at = at as usize;
        let room = self
            .memory
            .data_mut(&mut self.store)
            .get_mut(at..)
            .and_then(|room| room.get_mut(..=bytes.len()))
            .ok_or_else(|| FilterError::BadOutput {
                reason: format!("the guest's malloc gave the address {at}, outside its memory"),
            })?;
        room[..bytes.len()].copy_from_slice(bytes);
        room[bytes.len()] = 0;
        Ok(())
    }

    /// Calls the filter; says what it returned.
    pub(crate) fn call(
        &mut self,
        placed: Placed,
        (sec, nsec): (u32, u32),
    ) -> Result<Returned, FilterError> {
        self.calls += 1;
        self.store.data_mut().is_asked = true;
        let Placed { tag, tag_len, record, record_len } = placed;
        let arguments = (tag, tag_len, sec, nsec, record, record_len);
        self.lane
            .run(&mut self.store, |store| self.filter.call(store, arguments))
            .map_err(|error| failure(&error, self.store.data()))
    }

    /// The first call is over: from now on a call has no more time than any other.
    pub(crate) fn has_started(&mut self) {
        let state = self.store.data_mut();
        if state.is_first {
            state.is_first = false;
            state.lane.set_deadline(self.deadline);
        }
    }

    /// A file that the guest asked for and that the sandbox does not grant; told once.
    pub(crate) fn take_denied(&mut self) -> Option<String> {
        self.store.data_mut().take_denied()
    }

    /// Bytes of memory that the guest has taken for itself; the host's pages don't count.
    pub(crate) fn memory_size(&mut self) -> u64 {
        let pages = self.pages.and_then(|pages| pages.get(&mut self.store).i32());
        match pages {
            Some(pages) => u64::from(pages.cast_unsigned()) * PAGE,
            None => self.memory.data_size(&self.store) as u64,
        }
    }

    /// The guest's memory from an address to its end; `None` outside it.
    pub(crate) fn read(&self, at: u32) -> Option<&[u8]> {
        self.memory.data(&self.store).get(at as usize..)
    }

    /// Gives a call's arguments back to the guest's allocator, and its answer, if the module wants that. An answer within
    /// the arguments goes with them.
    pub(crate) fn release(&mut self, placed: Placed, answer: u32) -> Result<(), FilterError> {
        if let Some(free_result) = &self.free_result
            && answer != 0
            && !placed.has(answer)
        {
            self.lane
                .run(&mut self.store, |store| free_result.call(store, answer))
                .map_err(|error| failure(&error, self.store.data()))?;
        }
        let (Place::Malloc { free, .. } | Place::New { unpin: free, .. }) = &self.place else {
            return Ok(());
        };
        for pointer in [placed.tag, placed.record] {
            self.lane
                .run(&mut self.store, |store| free.call(store, pointer))
                .map_err(|error| failure(&error, self.store.data()))?;
        }
        Ok(())
    }

    /// Whether arguments go through the guest's own allocator.
    pub(crate) fn has_malloc(&self) -> bool {
        !matches!(self.place, Place::Pages { .. })
    }

    /// Whether it is time for another guest.
    pub(crate) fn is_due(&mut self, recycle: Recycle) -> bool {
        recycle.calls.is_some_and(|calls| self.calls >= calls)
            || recycle.memory.is_some_and(|memory| self.memory_size() > memory)
    }
}

/// Lowers how far the guest's part of a memory with host pages may grow.
pub(crate) fn limit_growth(store: &mut Store<State>, instance: &Instance, memory_limit: u64) {
    let mut global = |name: &str| {
        let global = instance.get_global(&mut *store, name)?;
        let pages = global.get(&mut *store).i32()?;
        Some((global, u64::from(pages.cast_unsigned())))
    };
    let (Some((_, pages)), Some((limit_global, limit))) = (global(PAGES), global(LIMIT)) else {
        return;
    };
    let lowered = limit.min(memory_limit / PAGE).max(pages);
    if let Ok(value) = i32::try_from(lowered) {
        // Cannot fail: the compiler made the global a mutable i32.
        let _ = limit_global.set(store, value.into());
    }
}

fn place(
    store: &mut Store<State>,
    instance: &Instance,
    arguments: Arguments,
) -> Result<Place, LoadError> {
    match arguments {
        Arguments::Pages { offset, size } => {
            let within = |bytes: u64| usize::try_from(bytes).ok().filter(|_| bytes <= 4 << 30);
            let place = within(offset).zip(within(size));
            let (offset, size) = place.ok_or_else(|| missing("host pages within its memory"))?;
            Ok(Place::Pages { offset, size })
        }
        Arguments::Malloc => {
            let malloc = instance.get_typed_func(&mut *store, "malloc");
            let free = instance.get_typed_func(store, "free");
            let both = malloc.ok().zip(free.ok());
            let (malloc, free) = both.ok_or_else(|| missing("malloc and free"))?;
            Ok(Place::Malloc { malloc, free })
        }
        Arguments::New => {
            let new = instance.get_typed_func(&mut *store, "__new");
            let pin = instance.get_typed_func(&mut *store, "__pin");
            let unpin = instance.get_typed_func(store, "__unpin");
            let all = new.ok().zip(pin.ok()).zip(unpin.ok());
            let ((new, pin), unpin) = all.ok_or_else(|| missing("__new, __pin and __unpin"))?;
            Ok(Place::New { new, pin, unpin })
        }
    }
}

/// Why a guest cannot be started.
fn failed(error: &wasmtime::Error, store: &Store<State>) -> LoadError {
    let reason = match failure(error, store.data()) {
        FilterError::Deadline { milliseconds, .. } => format!(
            "its start took longer than its deadline of {milliseconds} ms; help: raise Start_Deadline"
        ),
        other => other.to_string(),
    };
    let reason = reason.strip_prefix("Exception: ").unwrap_or(&reason).to_owned();
    LoadError::Instantiate { reason }
}

fn missing(what: &str) -> LoadError {
    LoadError::Instantiate { reason: format!("the module has not got {what}") }
}
