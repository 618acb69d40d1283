//! Fluent Bit's side: what it calls, what it is asked, and how its structs lie in memory. One of the project's homes of `unsafe`.
//!
//! Fluent Bit opens this library, copies [`filter_aot_plugin`], and calls the three functions in it. Nothing here decides about
//! records; everything that does is safe code above it and gets and gives plain values.
//!
//! # Why this is sound
//!
//! Read in the sources of Fluent Bit 2.2.0 to 5.1.1, and tried by `tests/host.rs` with a program that has the same structs in C.
//!
//! 1. **The plugin's struct serves all of them.** 2.2 to 3.1 copy 80 bytes, later ones 88; all but `notification` lies at the same
//!    places, and what lies beyond is the list's links, which the copy gets after it is made. Nothing changes the struct here.
//! 2. **An instance is used only if it proves to lie as expected** ([`Instance::check`]), without following any pointer of
//!    it that was not proven before: its name is where `flb_filter_name` says, a context that is set is found where it
//!    should be, and behind it is the plugin's copy that has our own functions. All these fields, the properties and the metrics between
//!    and behind them are the same in 2.2.0 to 5.1.1, and an instance is larger than the last of them.
//! 3. **What the agent gives lives long enough.** Names, properties and the configuration live as long as the instance, which
//!    Fluent Bit destroys after it has called [`exit`]; a chunk and its tag, until [`filter`] returns. All are copied.
//! 4. **Functions are called as they are declared there**, and are looked up by name, so that one that is not there is known.
//!    `flb_log_print` gets a format of our own. The metrics belong to the instance's registry, and die with it.
//! 5. **The context is ours.** It is what [`init`] made of a box, or null; [`exit`] gets it once, when no [`filter`] runs. Fluent Bit
//!    calls the three one after the other, but in case it does not, [`Bound`] can be shared between threads.
//! 6. **The answer is the agent's to free.** It is the memory of a vector, which comes from the agent's `malloc` (`memory.rs`).
//! 7. **No panic leaves.** Each of the three catches it.
#![expect(unsafe_code, reason = "foreign structs and functions are; see the module's words")]

use std::ffi::{CStr, CString, c_char, c_double, c_int, c_void};
use std::mem::{ManuallyDrop, transmute_copy};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::SystemTime;

use flb_text::tame_line;
use tracing::Level;

use crate::filter::{Filter, Given};
use crate::help;
use crate::journal::{Journal, Line};
use crate::metrics::{Count, METRICS, Metric};
use crate::version::Version;

/// The name that configurations use: [`crate::NAME`].
const C_NAME: &CStr = c"aot";

/// `FLB_FILTER_LOGS`
const LOGS: c_int = 1;
/// `FLB_FILTER_MODIFIED`
const MODIFIED: c_int = 1;
/// `FLB_FILTER_NOTOUCH`
const UNTOUCHED: c_int = 2;

type Init = extern "C" fn(*mut c_void, *mut c_void, *mut c_void) -> c_int;
type Callback = extern "C" fn(
    *const u8,
    usize,
    *const c_char,
    c_int,
    *mut *mut c_void,
    *mut usize,
    *mut c_void,
    *mut c_void,
    *mut c_void,
    *mut c_void,
) -> c_int;
type Exit = extern "C" fn(*mut c_void, *mut c_void) -> c_int;

/// `struct flb_filter_plugin`
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Plugin {
    event_type: c_int,
    flags: c_int,
    name: *const c_char,
    description: *const c_char,
    config_map: AtomicPtr<usize>,
    pre_run: *const c_void,
    init: Init,
    filter: Callback,
    exit: Exit,
    notification: *const c_void,
    head: [*const c_void; 2],
}

const _: () = assert!(size_of::<Plugin>() == 88, "only 64-bit systems have agents to plug into");

// SAFETY: its pointers are to constants or null.
unsafe impl Sync for Plugin {}

/// What Fluent Bit looks for in a file that is called `flb-filter_aot.so`.
#[unsafe(no_mangle)]
pub(crate) static filter_aot_plugin: Plugin = Plugin {
    event_type: LOGS,
    flags: 0,
    name: C_NAME.as_ptr(),
    description:
        c"Call a function of a WebAssembly module (.wasm or .aot) for every record, compiled"
            .as_ptr(),
    config_map: AtomicPtr::new(ptr::null_mut()),
    pre_run: ptr::null(),
    init,
    filter,
    exit,
    notification: ptr::null(),
    head: [ptr::null(); 2],
};

/// What the loader calls when the library is opened, before Fluent Bit copies the struct.
#[used]
#[unsafe(link_section = ".init_array")]
static OPENED: extern "C" fn() = opened;

/// Makes the table of properties. Its rows have grown since, by a member that came with a function.
extern "C" fn opened() {
    let has_raw = symbol(c"flb_config_map_get_raw").is_some();
    let table = catch_unwind(|| help::config_map(if has_raw { 104 } else { 96 }));
    if let Ok(table) = table {
        filter_aot_plugin.config_map.store(table.leak().as_mut_ptr(), Ordering::Release);
    }
}

/// A function or variable of the agent's by its name.
fn symbol(name: &CStr) -> Option<ptr::NonNull<c_void>> {
    // SAFETY: the name ends with its NUL.
    ptr::NonNull::new(unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) })
}

/// A function of the agent's by its name.
///
/// # Safety
///
/// `F` is the type of a pointer to it.
unsafe fn function<F: Copy>(name: &CStr) -> Option<F> {
    const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
    let found = symbol(name)?.as_ptr();
    // SAFETY: both are pointers, of one size, and the caller knows of which type.
    Some(unsafe { transmute_copy(&found) })
}

/// The agent's functions that a filter needs.
#[derive(Clone, Copy)]
struct Agent {
    set_context: extern "C" fn(*mut c_void, *mut c_void),
    name: extern "C" fn(*mut c_void) -> *const c_char,
    print: unsafe extern "C" fn(c_int, *const c_char, c_int, *const c_char, ...),
}

impl Agent {
    fn find() -> Option<Self> {
        // SAFETY: 4 above.
        unsafe {
            Some(Self {
                set_context: function(c"flb_filter_set_context")?,
                name: function(c"flb_filter_name")?,
                print: function(c"flb_log_print")?,
            })
        }
    }

    fn print(&self, level: Level, text: &str) {
        let kind = match level {
            Level::ERROR => 1,
            Level::WARN => 2,
            Level::INFO => 3,
            Level::DEBUG => 4,
            Level::TRACE => 5,
        };
        // What is tamed has no NUL in it.
        let Ok(text) = CString::new(&*tame_line(text)) else { return };
        // SAFETY: 4 above; the format asks for one text, which ends with its NUL.
        unsafe { (self.print)(kind, ptr::null(), 0, c"%s".as_ptr(), text.as_ptr()) }
    }

    fn print_all(&self, journal: &Journal) {
        for Line { level, text } in journal.take() {
            self.print(level, &text);
        }
    }
}

/// Where the members of `struct flb_filter_instance` lie.
mod at {
    pub(super) const LOG_LEVEL: usize = 8;
    pub(super) const NAME: usize = 16;
    pub(super) const ALIAS: usize = 48;
    pub(super) const CONTEXT: usize = 80;
    pub(super) const PLUGIN: usize = 96;
    pub(super) const PROPERTIES: usize = 104;
    pub(super) const METRICS: usize = 144;
}

/// A `struct flb_filter_instance` that proved to lie as expected.
#[derive(Clone, Copy)]
struct Instance(*mut c_void);

impl Instance {
    /// Makes sure that it is what it should be (2 above).
    fn check(instance: *mut c_void, agent: &Agent) -> Option<Self> {
        let this = Self(instance);
        let name = (agent.name)(instance);
        // SAFETY: 2 above: the instance is larger than this.
        let own = unsafe { instance.byte_add(at::NAME) };
        // SAFETY: as above.
        let alias = unsafe { this.word(at::ALIAS) };
        if name.is_null() || (name.addr() != own.addr() && name.addr() != alias) {
            return None;
        }
        (agent.set_context)(instance, instance);
        // SAFETY: as above.
        let context = unsafe { this.word(at::CONTEXT) };
        (agent.set_context)(instance, ptr::null_mut());
        if context != instance.addr() {
            return None;
        }
        // SAFETY: as above; what stands two words behind the context is the pointer to the plugin.
        let plugin =
            unsafe { instance.byte_add(at::PLUGIN).cast::<*const Plugin>().read().as_ref() }?;
        let is_ours = plugin.name == C_NAME.as_ptr() && ptr::fn_addr_eq(plugin.init, init as Init);
        is_ours.then_some(this)
    }

    /// # Safety
    ///
    /// The offset is one of [`at`].
    unsafe fn word(self, offset: usize) -> usize {
        // SAFETY: instances are larger than this, and their members are aligned.
        unsafe { self.0.byte_add(offset).cast::<usize>().read() }
    }

    fn name(self, agent: &Agent) -> String {
        // SAFETY: 3 above: a name ends with its NUL.
        unsafe { CStr::from_ptr((agent.name)(self.0)) }.to_string_lossy().into_owned()
    }

    fn level(self) -> Level {
        // SAFETY: 2 above.
        match unsafe { self.0.byte_add(at::LOG_LEVEL).cast::<c_int>().read() } {
            ..=1 => Level::ERROR,
            2 => Level::WARN,
            3 => Level::INFO,
            4 => Level::DEBUG,
            _ => Level::TRACE,
        }
    }

    /// Every property, in the order given.
    fn properties(self) -> Vec<(String, String)> {
        /// `struct flb_kv`; the two texts stand before the links.
        #[repr(C)]
        struct Pair {
            key: *const c_char,
            value: *const c_char,
            _previous: *const c_void,
            next: *const c_void,
        }
        const LINKS: usize = 16;
        let mut pairs = Vec::new();
        // SAFETY: 2 and 3 above. The list is a ring through the instance's own links; each other one is a pair's.
        unsafe {
            let head = self.0.byte_add(at::PROPERTIES).cast_const();
            let mut links: *const c_void = head.cast::<[*const c_void; 2]>().read()[1];
            while links != head && !links.is_null() {
                let pair = &*links.byte_sub(LINKS).cast::<Pair>();
                let text =
                    |text: *const c_char| CStr::from_ptr(text).to_string_lossy().into_owned();
                if !pair.key.is_null() && !pair.value.is_null() {
                    pairs.push((text(pair.key), text(pair.value)));
                }
                links = pair.next;
            }
        }
        pairs
    }
}

/// What the context of an instance points to.
struct Bound {
    agent: Agent,
    filter: Filter,
    registry: Option<Registry>,
}

fn caught<R>(f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

extern "C" fn init(instance: *mut c_void, config: *mut c_void, _: *mut c_void) -> c_int {
    match caught(|| start(instance, config)) {
        Some(true) => 0,
        _ => -1,
    }
}

/// Makes the filter and gives it to the instance. Says why, if that is not possible.
fn start(instance: *mut c_void, config: *mut c_void) -> bool {
    let Some(agent) = Agent::find() else {
        // Nobody is there to say it.
        return false;
    };
    let Some(instance) = Instance::check(instance, &agent) else {
        let text = "[filter:aot] this agent is none that the plugin knows; help: it is made for Fluent Bit 2.2 to 5.1";
        agent.print(Level::ERROR, text);
        return false;
    };
    let version = version(config);
    let journal = Journal::new(instance.level());
    let given = Given {
        name: instance.name(&agent),
        properties: instance.properties(),
        version: version.clone(),
        is_ending: Arc::new(is_ending()),
    };
    let name = given.name.clone();
    let filter = Filter::new(given, journal.clone());
    agent.print_all(&journal);
    let Some(filter) = filter else { return false };
    let registry = version.filter(Version::is_known).and_then(|_| Registry::of(instance, &name));
    match &registry {
        Some(registry) => registry.count(&filter.first_counts()),
        None => agent.print(
            Level::WARN,
            &format!("[filter:aot:{name}] no metrics: this release of the agent is not known"),
        ),
    }
    let bound = Box::new(Bound { agent, filter, registry });
    (agent.set_context)(instance.0, Box::into_raw(bound).cast());
    true
}

extern "C" fn filter(
    data: *const u8,
    size: usize,
    tag: *const c_char,
    tag_size: c_int,
    out: *mut *mut c_void,
    out_size: *mut usize,
    _: *mut c_void,
    _: *mut c_void,
    context: *mut c_void,
    _: *mut c_void,
) -> c_int {
    // SAFETY: 5 above.
    let Some(bound) = (unsafe { context.cast::<Bound>().as_ref() }) else { return UNTOUCHED };
    if data.is_null() || tag.is_null() {
        return UNTOUCHED;
    }
    // SAFETY: 3 above.
    let (data, tag) = unsafe {
        let tag_size = usize::try_from(tag_size).unwrap_or(0);
        (std::slice::from_raw_parts(data, size), std::slice::from_raw_parts(tag.cast(), tag_size))
    };
    let answer = caught(|| {
        let answer = bound.filter.filter(tag, data);
        bound.agent.print_all(bound.filter.journal());
        if let Some(registry) = &bound.registry {
            registry.count(&answer.counts);
        }
        answer.chunk
    });
    let Some(Some(chunk)) = answer else { return UNTOUCHED };
    let mut chunk = ManuallyDrop::new(chunk);
    // SAFETY: the agent's places for the answer are there. 6 above; an empty vector has no memory.
    unsafe {
        out_size.write(chunk.len());
        out.write(if chunk.is_empty() { ptr::null_mut() } else { chunk.as_mut_ptr().cast() });
    }
    MODIFIED
}

extern "C" fn exit(context: *mut c_void, _: *mut c_void) -> c_int {
    if !context.is_null() {
        // A panic here has nobody whom it could harm.
        let _ = caught(|| {
            // SAFETY: 5 above.
            let Bound { agent, filter, .. } = *unsafe { Box::from_raw(context.cast::<Bound>()) };
            let journal = filter.journal().clone();
            filter.end();
            agent.print_all(&journal);
        });
    }
    0
}

/// Whether the agent was asked to end, as far as that can be known.
fn is_ending() -> impl Fn() -> bool + Send + Sync + 'static {
    let flag = symbol(c"exit_signal").map(|flag| flag.as_ptr().expose_provenance());
    move || {
        flag.is_some_and(|flag| {
            // SAFETY: it is the agent's own variable, a `volatile sig_atomic_t`, which is there as long as the process.
            unsafe { ptr::with_exposed_provenance::<c_int>(flag).read_volatile() != 0 }
        })
    }
}

/// Which Fluent Bit it is: it says so in a metric, and nowhere else.
fn version(config: *mut c_void) -> Option<Version> {
    type Make = extern "C" fn() -> *mut c_void;
    type Add = extern "C" fn(*mut c_void, *mut c_void) -> c_int;
    type Encode = extern "C" fn(*mut c_void) -> *mut c_char;
    type Free = extern "C" fn(*mut c_void);
    // SAFETY: 4 above.
    let (make, add, encode, free_text, free): (Make, Add, Encode, Free, Free) = unsafe {
        (
            function(c"cmt_create")?,
            function(c"flb_metrics_fluentbit_add")?,
            function(c"cmt_encode_text_create")?,
            function(c"cmt_encode_text_destroy")?,
            function(c"cmt_destroy")?,
        )
    };
    // The registry is made for this, and gone with it; the configuration is the one that `init` was given.
    let registry = make();
    if registry.is_null() {
        return None;
    }
    add(config, registry);
    let text = encode(registry);
    let mut version = None;
    if !text.is_null() {
        // SAFETY: 3 above: it ends with its NUL.
        version = Version::in_metrics(&unsafe { CStr::from_ptr(text) }.to_string_lossy());
        free_text(text.cast());
    }
    free(registry);
    version
}

type Create = extern "C" fn(
    *mut c_void,
    *const c_char,
    *const c_char,
    *const c_char,
    *const c_char,
    c_int,
    *const *const c_char,
) -> *mut c_void;
type Change = extern "C" fn(*mut c_void, u64, c_double, c_int, *const *const c_char) -> c_int;

/// The filter's metrics in the agent's registry.
struct Registry {
    name: CString,
    add: Change,
    set: Change,
    /// In the order of [`METRICS`]; the agent's own.
    metrics: Vec<*mut c_void>,
}

// SAFETY: the pointers are followed by the agent's functions only, on the threads that it calls `filter` on.
unsafe impl Send for Registry {}
// SAFETY: as above.
unsafe impl Sync for Registry {}

impl Registry {
    fn of(instance: Instance, name: &str) -> Option<Self> {
        // SAFETY: 2 above.
        let registry = unsafe { instance.0.byte_add(at::METRICS).cast::<*mut c_void>().read() };
        if registry.is_null() {
            return None;
        }
        // SAFETY: 4 above.
        let (counter, gauge, add, set): (Create, Create, Change, Change) = unsafe {
            (
                function(c"cmt_counter_create")?,
                function(c"cmt_gauge_create")?,
                function(c"cmt_counter_add")?,
                function(c"cmt_gauge_set")?,
            )
        };
        let made = METRICS.iter().map(|Metric { name, help, labels: others, is_gauge }| {
            let create = if *is_gauge { gauge } else { counter };
            let (labels, count) = labels(c"name", others.iter().copied());
            let (prefix, group) = (c"flb".as_ptr(), c"filter".as_ptr());
            create(registry, prefix, group, name.as_ptr(), help.as_ptr(), count, labels.as_ptr())
        });
        let metrics: Vec<_> = made.collect();
        let name = CString::new(name).ok()?;
        metrics.iter().all(|metric| !metric.is_null()).then_some(Self { name, add, set, metrics })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "metrics carry the time, and decide nothing by it"
    )]
    fn count(&self, counts: &[Count]) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        for Count { metric, labels: others, value } in counts {
            let Some((row, place)) = METRICS.get(*metric).zip(self.metrics.get(*metric)) else {
                continue;
            };
            let (labels, count) = labels(&self.name, others.iter().map(|label| &**label));
            let change = if row.is_gauge { self.set } else { self.add };
            change(*place, now, *value, count, labels.as_ptr());
        }
    }
}

/// Texts as an array of C, and how many. They must outlive it.
fn labels<'a>(
    first: &'a CStr,
    others: impl Iterator<Item = &'a CStr>,
) -> (Vec<*const c_char>, c_int) {
    let texts: Vec<_> = [first].into_iter().chain(others).map(CStr::as_ptr).collect();
    // A metric has a handful of labels.
    let count = c_int::try_from(texts.len()).unwrap_or(0);
    (texts, count)
}
