//! Kills at random moments, with signals that are late, doubled or for nobody, while the answers of all calls that are not
//! killed are compared.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flb_artifact::{Interruption, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use wasmtime::{Caller, Linker, Store};

use super::{Leash, Way, find_flag, set_up, signal};
use crate::abi::Entry;
use crate::guests::Live;
use crate::machine::Module;
use crate::state::State;
use crate::{EngineOptions, FilterEngine, FilterError, FilterModule, FilterOptions, Sandbox};

const LEASHES: usize = 2;
/// How many of the programs end of themselves.
const FINITE: usize = 10;
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Numbers that look like chance and are the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}

fn load(engine: &FilterEngine, wasm: Vec<u8>, function: &str, deadline: Duration) -> FilterModule {
    let options = FilterOptions { deadline, ..FilterOptions::new(function) };
    let module = FilterModule::load(engine, wasm, options).unwrap();
    assert_eq!(module.notes(), [""; 0], "signals must work on the machine of this test");
    module
}

/// A filter with this body, of which some never return.
fn program(body: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (import "wasi_snapshot_preview1" "clock_time_get"
                (func $time (param i32 i64 i32) (result i32)))
            (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
            (memory (export "memory") 40) (memory $m 1 2) (table $t 1000 funcref)
            (func $fib (param i32) (result i32)
                (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
                    (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1)))
                        (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
            (func $deep (param i32) (result i32)
                (i32.add (call $deep (local.get 0)) (i32.const 1)))
            (func $a (param i32 i32) (result i32) (return_call $b (local.get 1) (local.get 0)))
            (func $b (param i32 i32) (result i32) (return_call $a (local.get 1) (local.get 0)))
            (func (export "f") (param $a i32) (param $b i32) (param $c i32) (param $d i32)
                (param $e i32) (param $n i32) (result i32) (local $i i32) (local $sum i32)
                {body}))"#
    ))
    .unwrap()
}

/// What runs: how it is called, and what it is.
fn programs(engine: &FilterEngine) -> Vec<FilterModule> {
    let c = include_bytes!("../../../../examples/filters/c-enrich.wasm");
    let rust = include_bytes!("../../../../examples/filters/rust-enrich.wasm");
    let mut modules = vec![
        load(engine, c.to_vec(), "c_filter", AN_HOUR),
        load(engine, rust.to_vec(), "rust_filter", AN_HOUR),
    ];
    let sum = "(loop $l (local.set $sum (i32.add (i32.mul (local.get $sum) (i32.const 31))
            (i32.load8_u (i32.and (local.get $i) (i32.const 0xffff)))))
        (i32.store8 (local.get $i) (local.get $sum))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50000))))
        (local.get $sum)";
    let bodies = [
        sum,
        "(call $fib (i32.const 17))",
        "(loop (memory.fill (i32.const 0) (local.get $i) (i32.const 65536))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 50))))
            (i32.load (i32.const 99))",
        "(loop (drop (call $time (i32.const 1) (i64.const 0) (i32.const 8)))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 300))))
            (local.get $i)",
        "(loop (local.set $sum (i32.div_u (i32.const -1) (i32.or (local.get $sum) (i32.const 1))))
            (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 9999))))
            (local.get $sum)",
        // Traps of its own.
        "(i32.load (i32.const -4))",
        "(call $deep (i32.const 1))",
        "unreachable",
        // Without end.
        "(loop (br 0)) unreachable",
        "(call $fib (i32.const 90))",
        "(call $a (i32.const 1) (i32.const 2))",
        "(loop (memory.copy (i32.const 0) (i32.const 64) (i32.const 65536)) (br 0)) unreachable",
        "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 2621440)) (br 0)) unreachable",
        "(loop (table.fill $t (i32.const 0) (ref.null func) (i32.const 1000)) (br 0)) unreachable",
        "(loop (drop (memory.grow $m (i32.const 0))) (br 0)) unreachable",
        "(loop (drop (call $yield)) (br 0)) unreachable",
    ];
    modules.extend(bodies.map(|body| load(engine, program(body), "f", AN_HOUR)));
    modules
}

type Guest = Live<Entry>;

/// What a call gives: its answer's first bytes, or how it failed.
fn call(Live { guest, entry }: &mut Guest) -> Answer {
    let record = br#"{"log":"GET / HTTP/1.1\" 200","n":[1,-2.5e3,true,null],"o":{"p":"q"}}"#;
    let placed = entry.put(guest, b"app.web", record)?;
    let answer = entry.call(guest, placed, (1_700_000_000, 5))?;
    let bytes = Entry::read(guest, answer.address, placed).unwrap_or_default();
    let end = memchr::memchr(0, bytes).unwrap_or(0);
    Ok([&answer.address.to_le_bytes(), &bytes[..end.min(1000)]].concat())
}

#[derive(Default)]
struct Shared {
    leashes: [Mutex<Option<Arc<Leash>>>; LEASHES],
    kills: AtomicU64,
    calls: AtomicU64,
    over: AtomicBool,
    ended: AtomicUsize,
}

/// Says that a thread has ended, be it by a failed assertion.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

type Answer = Result<Vec<u8>, FilterError>;

/// Runs programs on one thread, another guest after each failure, until it is over.
fn run(shared: &Shared, index: usize, modules: &[FilterModule], expected: &[Answer]) {
    let _ended = Ended(shared);
    let mut chance = Chance(0x9e37_79b9 + index as u64);
    while !shared.over.load(Ordering::Relaxed) {
        let chosen = chance.below(modules.len() as u64) as usize;
        let mut guest = Guest::start(&modules[chosen]).unwrap();
        *shared.leashes[index].lock().unwrap() = Some(Arc::clone(&guest.guest.leash));
        // Those that answer are called some times.
        for _ in 0..8 {
            let hits = guest.guest.leash.hits.load(Ordering::Relaxed);
            let found = call(&mut guest);
            shared.calls.fetch_add(1, Ordering::Relaxed);
            let hit = guest.guest.leash.hits.load(Ordering::Relaxed) != hits;
            match &found {
                Err(FilterError::Deadline { .. }) => {
                    shared.kills.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                found => {
                    assert!(!hit, "led out of the code, and yet {found:?}");
                    assert_eq!(Some(found), expected.get(chosen), "program {chosen}");
                    if found.is_err() {
                        break;
                    }
                }
            }
        }
    }
}

/// Sends kills and signals that mean nothing, until there were enough.
fn disturb(shared: &Shared, kills: u64) {
    let mut chance = Chance(42);
    while shared.kills.load(Ordering::Relaxed) < kills && !shared.over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_micros(chance.below(100)));
        let leash = shared.leashes[chance.below(LEASHES as u64) as usize].lock().unwrap().clone();
        let Some(leash) = leash else { continue };
        match (chance.below(8), leash.running()) {
            // For nobody.
            (0, _) | (_, None) => signal::send(leash.thread.load(Ordering::Relaxed)),
            // Doubled.
            (1, Some(number)) => {
                leash.kill(number);
                signal::send(leash.thread.load(Ordering::Relaxed));
            }
            // Late.
            (2, Some(number)) => {
                thread::yield_now();
                leash.kill(number);
            }
            (_, Some(number)) => leash.kill(number),
        }
    }
    shared.over.store(true, Ordering::Relaxed);
    // Whoever is in a program without end needs to be told, and then left alone for as long as it takes to end: each of these
    // signals has its own place in the thread's queue, and a thread whose queue is never empty never runs.
    while shared.ended.load(Ordering::Relaxed) < LEASHES {
        for leash in &shared.leashes {
            if let Some(leash) = leash.lock().unwrap().clone() {
                leash.running().inspect(|number| leash.kill(*number));
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn stress(kills: u64) {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let modules = programs(&engine);
    let shared = Shared::default();
    let finite = &modules[..FINITE];
    let expected: Vec<_> =
        finite.iter().map(|module| call(&mut Guest::start(module).unwrap())).collect();
    let started = Instant::now();
    thread::scope(|scope| {
        for index in 0..LEASHES {
            let (shared, modules, expected) = (&shared, &modules, &expected);
            scope.spawn(move || run(shared, index, modules, expected));
        }
        disturb(&shared, kills);
    });
    println!(
        "{} kills in {} calls, {:.1} s",
        shared.kills.load(Ordering::Relaxed),
        shared.calls.load(Ordering::Relaxed),
        started.elapsed().as_secs_f64()
    );
}

#[test]
fn five_hundred_kills_harm_nobody() {
    stress(500);
}

#[test]
#[ignore = "slow: ten thousand kills; run with --ignored"]
fn ten_thousand_kills_harm_nobody() {
    stress(10_000);
}

/// Prints how long after their deadline calls end.
#[test]
#[ignore = "slow: measures; run with --ignored --nocapture"]
fn how_late_a_thousand_kills_are() {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let deadline = Duration::from_millis(10);
    let bodies = [
        "(loop (br 0)) unreachable",
        "(loop (local.set $i (i32.load (local.get $i))) (br 0)) unreachable",
        "(call $fib (i32.const 90))",
        "(loop (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br 0)) unreachable",
    ];
    let mut late = Vec::new();
    for body in bodies {
        let module = load(&engine, program(body), "f", deadline);
        for _ in 0..250 {
            let mut guest = Guest::start(&module).unwrap();
            let started = Instant::now();
            assert!(matches!(call(&mut guest), Err(FilterError::Deadline { .. })));
            late.push(started.elapsed().saturating_sub(deadline));
        }
    }
    late.sort();
    let at = |part: usize| late[(late.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!(
        "ended past a deadline of 10 ms by: p50 {:.1}, p99 {:.1}, max {:.1} ms ({} kills)",
        at(50),
        at(99),
        at(100),
        late.len()
    );
}

/// A guest in a host function in a guest: the inner one is ended, and if the host function does not mind, the outer one.
#[test]
fn a_guest_under_a_host_function_under_a_guest_is_ended() {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let text = r#"(module (import "host" "again" (func $again)) (memory 1)
        (func (export "inner") (loop (br 0)))
        (func (export "outer") (loop (call $again) (br 0)))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))"#;
    let loaded = crate::load::load(&engine, wat::parse_str(text).unwrap(), None).unwrap();
    let way = loaded.module.way(loaded.interruption).unwrap();
    let arguments = loaded.artifact.metadata().interface.arguments;
    let memories = loaded.module.memories(arguments);
    let Module::Native(module) = loaded.module else { panic!("it is compiled for this host") };
    assert!(matches!(way, Way::Signal(_)));
    for swallows in [true, false] {
        let leash = engine.watchdog().leash(Duration::from_millis(5), way.clone(), None);
        let state = State::new(memories, 1 << 20, &Sandbox::default(), Arc::clone(&leash)).unwrap();
        let mut store = Store::new(module.engine(), state);
        set_up(&mut store);
        let mut linker = Linker::<State>::new(module.engine());
        let again = move |mut caller: Caller<'_, State>| {
            let inner = caller.get_export("inner").unwrap().into_func().unwrap();
            let ended = inner.typed::<(), ()>(&caller)?.call(&mut caller, ());
            assert!(ended.is_err());
            if swallows { Ok(()) } else { ended }
        };
        linker.func_wrap("host", "again", again).unwrap();
        let instance = linker.instantiate(&mut store, &module).unwrap();
        find_flag(&mut store, &instance);
        let outer = instance.get_typed_func::<(), ()>(&mut store, "outer").unwrap();
        leash.restart();
        let error = leash.run(&mut store, |store| outer.call(store, ())).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&wasmtime::Trap::Interrupt));
    }
}

/// Prints what each kind of interruption costs the examples' filters.
#[test]
#[ignore = "slow: measures; run with --release --ignored --nocapture"]
fn what_interruption_costs() {
    const ROUNDS: usize = 21;
    const KINDS: [Interruption; 4] =
        [Interruption::None, Interruption::None, Interruption::Signal, Interruption::Epoch];
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let c = include_bytes!("../../../../examples/filters/c-enrich.wasm").as_slice();
    let rust = include_bytes!("../../../../examples/filters/rust-enrich.wasm").as_slice();
    for (name, wasm, function) in
        [("c-enrich", c, "c_filter"), ("rust-enrich", rust, "rust_filter")]
    {
        let modules = KINDS.map(|kind| {
            let artifact = compile(wasm, kind);
            FilterModule::load(&engine, artifact, FilterOptions::new(function)).unwrap()
        });
        let mut guests = modules.each_ref().map(|module| Guest::start(module).unwrap());
        let mut starts = KINDS.map(|_| Vec::new());
        // Of each kind, the time that a call takes in every round.
        let mut times = KINDS.map(|_| Vec::new());
        for round in 0..ROUNDS {
            for turn in 0..KINDS.len() {
                let kind = (round + turn) % KINDS.len();
                times[kind].push(time(&mut guests[kind]));
                starts[kind].push(time_start(&modules[kind]));
            }
        }
        println!(
            "{name}: {:.0} ns a call and {:.0} ns a start without interruption",
            median(times[0].clone()),
            median(starts[0].clone())
        );
        for (kind, what) in [(1, "none again"), (2, "signal"), (3, "epoch")] {
            let more = |times: &[Vec<f64>; KINDS.len()]| {
                let ratios = times[kind].iter().zip(&times[0]).map(|(time, none)| time / none);
                100.0 * (median(ratios.collect()) - 1.0)
            };
            println!("  {what}: a call {:+.1} %, a start {:+.1} %", more(&times), more(&starts));
        }
    }
}

fn compile(wasm: &[u8], kind: Interruption) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 3, size_level: 0 },
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.interrupted_by(kind).compile(wasm).unwrap()
}

/// Nanoseconds that this thread has had a CPU for: whatever else the machine does is left out.
fn cpu_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds that a call takes, with records that differ.
fn time(Live { guest, entry }: &mut Guest) -> f64 {
    const CALLS: usize = 20_000;
    let mut chance = Chance(7);
    let records: Vec<String> = (0..64)
        .map(|_| {
            let words: Vec<String> =
                (0..12).map(|_| format!("{:x}\\n", chance.below(1 << 40))).collect();
            format!(r#"{{"log":"{}","n":[{},null,true]}}"#, words.join(" "), chance.below(9999))
        })
        .collect();
    let started = cpu_time();
    for index in 0..CALLS {
        let record = records[index % records.len()].as_bytes();
        let placed = entry.put(guest, b"app.web", record).unwrap();
        let answer = entry.call(guest, placed, (1_700_000_000, 5)).unwrap();
        entry.release(guest, placed, answer.address).unwrap();
    }
    (cpu_time() - started) / CALLS as f64
}

/// Nanoseconds that it takes to start a guest and to drop it.
fn time_start(module: &FilterModule) -> f64 {
    const STARTS: usize = 500;
    let started = cpu_time();
    for _ in 0..STARTS {
        drop(Guest::start(module).unwrap());
    }
    (cpu_time() - started) / STARTS as f64
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}
