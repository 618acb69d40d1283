//! A running guest: its store, memory and functions, and how bytes get in and out.

use std::sync::Arc;
use std::time::Duration;

use flb_artifact::Arguments;
use flb_artifact::contract::{FREE_RESULT, MEMORY};
use wasmtime::{Instance, Memory, Store, Table, TypedFunc};

use crate::abi::{Function, Returned};
use crate::failure::failure;
use crate::interrupt::Leash;
use crate::space::{self, HOST_PAGES, KEPT, PAGE};
use crate::state::State;
use crate::{FilterError, FilterModule, LoadError, Recycle};

/// One instance of the module.
pub(crate) struct Guest {
    store: Store<State>,
    /// By which it is ended.
    pub(crate) leash: Arc<Leash>,
    memory: Memory,
    filter: Function,
    place: Place,
    /// Frees an answer.
    free_result: Option<TypedFunc<u32, ()>>,
    /// Calls so far.
    calls: u64,
    /// The table whose size is the guest's memory's, where the memory itself has the host's pages, too.
    pages: Option<Table>,
    deadline: Duration,
}

/// Where arguments go.
enum Place {
    /// The host's own pages: their address, and how many bytes of them are accessible.
    Pages { offset: usize, open: usize },
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

    /// Where the argument ends that this address lies in, the NUL behind it included.
    fn end_of(self, address: usize) -> Option<usize> {
        let parts = [(self.tag, self.tag_len), (self.record, self.record_len)];
        let mut ranges =
            parts.into_iter().map(|(at, len)| at as usize..at as usize + len as usize + 1);
        ranges.find(|range| range.contains(&address)).map(|range| range.end)
    }
}

impl Guest {
    /// Instantiates the module, runs its start function and its constructors.
    pub(crate) fn start(module: &FilterModule) -> Result<Self, LoadError> {
        let options = module.options();
        let start_deadline = options.start_deadline.unwrap_or(options.deadline);
        let (ready, memory_limit) = (module.ready(), options.memory_limit);
        let arguments = ready.interface().arguments;
        let leash = ready.leash(start_deadline);
        let memories = ready.memories();
        let mut state = State::new(memories, memory_limit, &options.sandbox, Arc::clone(&leash))?;
        state.is_first = true;
        let mut store = Store::new(ready.pre.module().engine(), state);
        let instance = ready.instantiate(&mut store, memory_limit);
        let instance = instance.map_err(|error| failed(&error, &store))?;
        let memory = instance
            .get_memory(&mut store, MEMORY)
            .ok_or_else(|| missing("a memory, so its result can't be read"))?;
        let mut run = |name: &str| {
            let function = instance.get_typed_func::<(), ()>(&mut store, name).ok()?;
            leash.restart();
            let result = leash.run(&mut store, |store| function.call(store, ()));
            Some(result.map_err(|error| failed(&error, &store)))
        };
        ["_initialize", "__wasm_call_ctors"].into_iter().find_map(&mut run).transpose()?;
        let filter = Function::find(&mut store, &instance, &options.function);
        let filter = filter.map_err(|error| failed(&error, &store))?;
        let place = place(&mut store, &instance, arguments)?;
        // Its type was checked when the module was loaded.
        let free_result = instance.get_typed_func(&mut store, FREE_RESULT).ok();
        let pages = space::pages(&mut store, &instance);
        let deadline = options.deadline;
        Ok(Self { store, leash, memory, filter, place, free_result, calls: 0, pages, deadline })
    }

    /// Copies tag and record into the guest's memory, each with a NUL behind it.
    pub(crate) fn place(&mut self, tag: &[u8], record: &[u8]) -> Result<Placed, FilterError> {
        self.leash.restart();
        self.store.data_mut().bounds.begin();
        // Both are found room for in a 32-bit memory below.
        let (tag_len, record_len) = (tag.len() as u32, record.len() as u32);
        let placed = match self.place {
            Place::Pages { offset, .. } => {
                let record_at = (tag.len() + 1).next_multiple_of(16);
                self.open_pages(record_at + record.len() + 1)?;
                // Both lie in a 32-bit memory.
                let (tag, record) = (offset as u32, (offset + record_at) as u32);
                Placed { tag, tag_len, record, record_len }
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

    /// Makes so many bytes of the host's pages accessible. They are as many as were ever needed, twice at the most.
    fn open_pages(&mut self, wanted: usize) -> Result<(), FilterError> {
        let Place::Pages { offset, open } = &mut self.place else { return Ok(()) };
        let size = HOST_PAGES * PAGE;
        let memory = |reason| Err(FilterError::Memory { reason });
        if wanted > size {
            return memory(format!(
                "the record takes {wanted} bytes, the guest has room for {size}"
            ));
        }
        if wanted > *open {
            let more = wanted.next_multiple_of(PAGE).next_power_of_two();
            if let Err(error) = self.leash.fence.open(*offset + *open..*offset + more) {
                return memory(format!("the record takes {wanted} bytes: {error}"));
            }
            *open = more;
        }
        Ok(())
    }

    /// Gives back what an unusually large record took.
    fn close_pages(&mut self) {
        if let Place::Pages { offset, open } = &mut self.place
            && *open > KEPT
            && self.leash.fence.empty(*offset + KEPT..*offset + *open).is_ok()
        {
            *open = KEPT;
        }
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
        let Self { leash, store, place, .. } = self;
        let allocated = match place {
            Place::Malloc { malloc, .. } => {
                leash.run(&mut *store, |store| malloc.call(store, wanted))
            }
            // The id is that of any object.
            Place::New { new, pin, .. } => leash
                .run(&mut *store, |store| new.call(store, (wanted, 0)))
                .and_then(|pointer| leash.run(&mut *store, |store| pin.call(store, pointer))),
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
        self.leash
            .run(&mut self.store, |store| self.filter.call(store, arguments))
            .map_err(|error| failure(&error, self.store.data()))
    }

    /// The first call is over: from now on a call has no more time than any other.
    pub(crate) fn has_started(&mut self) {
        let state = self.store.data_mut();
        if state.is_first {
            state.is_first = false;
            state.leash.set_deadline(self.deadline);
        }
    }

    /// A file that the guest asked for and that the sandbox does not grant; told once.
    pub(crate) fn take_denied(&mut self) -> Option<String> {
        self.store.data_mut().take_denied()
    }

    /// Bytes that the guest has taken for its memories; the host's pages don't count.
    pub(crate) fn memory_size(&self) -> u64 {
        self.store.data().bounds.memory()
    }

    /// What is there from an address on: the guest's own memory to its end, or the argument that the address lies in, with its
    /// NUL. `None` elsewhere.
    pub(crate) fn read(&self, at: u32, placed: Placed) -> Option<&[u8]> {
        let memory = self.memory.data(&self.store);
        let own = match &self.pages {
            Some(pages) => usize::try_from(pages.size(&self.store)).ok()?.checked_mul(PAGE)?,
            None => memory.len(),
        };
        let at = at as usize;
        let end = if at < own { own } else { placed.end_of(at)? };
        memory.get(at..end)
    }

    /// Gives a call's arguments back to the guest's allocator, and its answer, if the module wants that. An answer within
    /// the arguments goes with them.
    pub(crate) fn release(&mut self, placed: Placed, answer: u32) -> Result<(), FilterError> {
        if let Some(free_result) = &self.free_result
            && answer != 0
            && !placed.has(answer)
        {
            self.leash
                .run(&mut self.store, |store| free_result.call(store, answer))
                .map_err(|error| failure(&error, self.store.data()))?;
        }
        let (Place::Malloc { free, .. } | Place::New { unpin: free, .. }) = &self.place else {
            self.close_pages();
            return Ok(());
        };
        for pointer in [placed.tag, placed.record] {
            self.leash
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

fn place(
    store: &mut Store<State>,
    instance: &Instance,
    arguments: Arguments,
) -> Result<Place, LoadError> {
    match arguments {
        Arguments::Pages { .. } => {
            let end = store.data().bounds.end().ok_or_else(|| missing("a table flb:pages"))?;
            Ok(Place::Pages { offset: end * PAGE, open: 0 })
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
