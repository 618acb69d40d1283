//! What calls of a filter cost, for `cargo xtask bench call`: `calls FILE RECORDS json|msgpack MODULE FUNCTION` takes the lines
//! of a file as records and prints the nanoseconds of CPU time of a whole call, and of what is left of it without the
//! conversions around it; with `batch-N` in the place of a format, for a module of the batch ABI, N records at a time. `calls start|trap TIMES MODULE FUNCTION` prints those of an instance's start, or of a call that traps
//! with the start that it makes necessary.

#![expect(clippy::print_stdout, reason = "the answer goes to standard output")]
#![expect(clippy::unwrap_used, reason = "whoever measures sees the panic")]

#[path = "support/filtered.rs"]
mod filtered;

use std::hint::black_box;
use std::time::Duration;

use flb_event::json::{self, JsonOptions, Printer, Sent};
use flb_event::{Chunk, ChunkBuilder, Event, RecordTooLarge, Spares, Tag, Timestamp};
use flb_runtime::{EngineOptions, EventFormat, FilterEngine, FilterModule, FilterOptions};
use rustix::time::ClockId;

use filtered::{filtered, filtered_into};

/// The JSON that a filter gets, as the agent writes it.
const JSON: EventFormat = EventFormat::Json { escape_unicode: true };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [what @ ("start" | "trap"), times, module, function] => {
            let (module, times) = (load(module, function, JSON), times.parse().unwrap());
            println!(
                "{:.1}",
                if what == "start" { start(&module, times) } else { trap(&module, times) }
            );
        }
        [file, records, batch, module, function] if batch.starts_with("batch-") => {
            let size = batch["batch-".len()..].parse().unwrap();
            let text = std::fs::read(file).unwrap();
            let chunks = parse(&text, size, 1000_usize.div_ceil(size));
            let rounds = records.parse::<usize>().unwrap().div_ceil(size * chunks.len());
            let whole = batches(&chunks, &load(module, function, JSON), rounds);
            println!("{whole:.1} {whole:.1}");
        }
        [file, records, format, module, function] => {
            let format = if format == "msgpack" { EventFormat::Msgpack } else { JSON };
            let text = std::fs::read(file).unwrap();
            let chunk = parse(&text, records.parse().unwrap(), 1).remove(0);
            let (whole, conversions) = call(&chunk, &load(module, function, format), format);
            println!("{whole:.1} {:.1}", whole - conversions);
        }
        _ => panic!(
            "calls FILE RECORDS json|msgpack|batch-N MODULE FUNCTION, or calls start|trap TIMES MODULE FUNCTION"
        ),
    }
}

fn load(module: &str, function: &str, format: EventFormat) -> FilterModule {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let deadline = Duration::from_secs(60);
    let options = FilterOptions { deadline, format, ..FilterOptions::new(function) };
    let bytes = match module.ends_with(".wat") {
        true => wat::parse_file(module).unwrap(),
        false => std::fs::read(module).unwrap(),
    };
    FilterModule::load(&engine, bytes, options).unwrap()
}

/// Nanoseconds that this thread has had a CPU for: whatever else the machine does is left out.
fn cpu_time() -> f64 {
    let time = rustix::time::clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Nanoseconds of each of so many rounds.
fn each(rounds: usize, mut round: impl FnMut()) -> f64 {
    let started = cpu_time();
    (0..rounds).for_each(|_| round());
    (cpu_time() - started) / rounds as f64
}

fn start(module: &FilterModule, times: usize) -> f64 {
    each(times, || drop(black_box(module.instantiate().unwrap())))
}

fn trap(module: &FilterModule, times: usize) -> f64 {
    let mut filter = module.instantiate().unwrap();
    let chunk = parse(b"{\"a\":1}", 1, 1).remove(0);
    let event = chunk.records().next().unwrap();
    each(times, || assert!(black_box(filter.ask(chunk.tag(), event)).is_err()))
}

/// So many chunks of so many records, of the lines in turn.
fn parse(text: &[u8], records: usize, chunks: usize) -> Vec<Chunk> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut lines = lines.cycle();
    let chunk = |_| {
        let mut chunk = ChunkBuilder::new(Tag::new("bench").unwrap());
        for line in lines.by_ref().take(records) {
            let time = Timestamp { sec: 1_700_000_000, nsec: 5 };
            let parsed = chunk.push_with(time, Event::NO_METADATA, |body| {
                json::parse_object(line, body).map_err(|_| RecordTooLarge)?;
                Ok::<(), RecordTooLarge>(())
            });
            parsed.unwrap();
        }
        chunk.build()
    };
    (0..chunks).map(chunk).collect()
}

/// Nanoseconds a record that batches take, each with a next chunk, in so many rounds. Memory is used again, as the agent does.
fn batches(chunks: &[Chunk], module: &FilterModule, rounds: usize) -> f64 {
    let mut filter = module.instantiate().unwrap();
    let mut spares = Spares::new(1);
    let mut round = || {
        for chunk in chunks {
            let output = spares.builder(chunk.tag().clone());
            spares.keep(black_box(filtered_into(&mut filter, chunk, output)));
        }
    };
    round();
    each(rounds, round) / chunks.iter().map(Chunk::len).sum::<usize>() as f64
}

/// Nanoseconds that the whole call takes, its answer in the next chunk, and those of the conversions alone.
fn call(chunk: &Chunk, module: &FilterModule, format: EventFormat) -> (f64, f64) {
    let mut filter = module.instantiate().unwrap();
    let started = cpu_time();
    let answers = filtered(&mut filter, chunk);
    let whole = cpu_time() - started;
    let conversions = if format == EventFormat::Msgpack {
        copies(chunk, &answers)
    } else {
        conversions(chunk, &answers)
    };
    (whole / chunk.len() as f64, conversions / chunk.len() as f64)
}

/// Nanoseconds to write all records as JSON, and to read the answers, which are written beforehand.
fn conversions(chunk: &Chunk, answers: &Chunk) -> f64 {
    let mut printer = Printer::new(JsonOptions::default());
    let texts: Vec<Vec<u8>> = answers
        .records()
        .map(|event| {
            let mut text = Vec::new();
            printer.print(event.body, &mut text).unwrap();
            text
        })
        .collect();
    let mut converted = ChunkBuilder::new(chunk.tag().clone());
    let (mut text, mut body) = (Vec::new(), Vec::new());
    let mut texts = texts.iter();
    let started = cpu_time();
    for event in chunk.records() {
        text.clear();
        printer.print(event.body, &mut text).unwrap();
        let Some(answer) = texts.next() else { continue };
        body.clear();
        let sent = Sent { text: &text, map: event.body, members: printer.members() };
        json::parse_again(answer, sent, &mut body).unwrap();
        converted.push(Event { body: &body, ..event }).unwrap();
    }
    let taken = cpu_time() - started;
    assert_eq!(converted.build().len(), answers.len());
    taken
}

/// Nanoseconds to put all answers into another chunk.
fn copies(chunk: &Chunk, answers: &Chunk) -> f64 {
    let mut copied = ChunkBuilder::new(chunk.tag().clone());
    let started = cpu_time();
    for event in answers.records() {
        copied.push(event).unwrap();
    }
    let taken = cpu_time() - started;
    black_box(copied.build());
    taken
}
