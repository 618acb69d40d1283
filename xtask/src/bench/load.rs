//! `cargo xtask bench load [RECORDS]`: what a record costs the agent that comes over the network, from clients in another
//! process (this one) on the same machine, to null.
//!
//! Each client has one connection, sends batch after batch over it, and waits for the answer to each: with forward an
//! acknowledgement, with HTTP a status. Rounds of all rows are interleaved. `FLB_OURS` names a folder with programs of ours
//! that are built already.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::lines::{self, Shape};
use super::measure::{Cost, cpu_of, high_water, median};
use super::programs;
use crate::run::free_port;

const ROUNDS: usize = 3;
const RECORDS: usize = 1_000_000;
/// Bytes of a record as JSON.
const LENGTH: usize = 227;
/// Records that are sent at a time.
const BATCH: usize = 1_000;
/// How long an agent may take to listen, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent how.
struct Row {
    input: &'static str,
    clients: usize,
    costs: Vec<Cost>,
}

/// A batch as bytes, and what the answer to it begins with.
struct Batch {
    bytes: Vec<u8>,
    answer: &'static [u8],
    /// Whether the answer ends with an empty line, and not where it is as long as it is known.
    is_http: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many records are sent in a run
    #[arg(default_value_t = RECORDS)]
    records: usize,
}

pub(super) fn run(&Args { records }: &Args) -> Result<()> {
    let program = programs()?.join("flb-agent");
    let mut rows: Vec<Row> = Vec::new();
    for input in ["forward", "http"] {
        rows.extend([1, 4].map(|clients| Row { input, clients, costs: Vec::new() }));
    }
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}: {} runs", rows.len());
        for row in &mut rows {
            row.costs.push(measure(&program, row, records)?);
        }
    }
    println!("| input | clients | records | records/s | CPU us a record | min | peak MiB |");
    println!("|---|---|---|---|---|---|---|");
    for Row { input, clients, costs } in rows {
        let wall = median(costs.iter().map(|cost| cost.wall).collect()).as_secs_f64();
        let cpu: Vec<Duration> = costs.iter().map(|cost| cost.cpu).collect();
        let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / records as f64;
        let least = cpu.iter().min().copied().unwrap_or_default();
        let peak = costs.iter().map(|cost| cost.peak_kib).max().unwrap_or_default() as f64 / 1024.0;
        println!(
            "| {input} | {clients} | {records} | {:.0} | {:.2} | {:.2} | {peak:.1} |",
            records as f64 / wall,
            each(median(cpu)),
            each(least),
        );
    }
    Ok(())
}

/// One run: as many batches as make up the records, parted among the clients.
fn measure(program: &Path, row: &Row, records: usize) -> Result<Cost> {
    let port = free_port()?;
    let mut agent = start(program, row.input, port)?;
    let batch = match row.input {
        "forward" => forward_batch()?,
        _ => http_batch(),
    };
    let clients = (0..row.clients).map(|_| connect(port)).collect::<Result<Vec<_>>>()?;
    let stat = format!("/proc/{}/stat", agent.id());
    let (begun, before) = (Instant::now(), cpu_of(&fs::read_to_string(&stat)?)?);
    let batches = records.div_ceil(BATCH);
    thread::scope(|scope| {
        let sent: Vec<_> = clients
            .into_iter()
            .enumerate()
            .map(|(n, client)| {
                let (from, to) = (batches * n / row.clients, batches * (n + 1) / row.clients);
                let batch = &batch;
                scope.spawn(move || send(client, batch, to - from))
            })
            .collect();
        sent.into_iter().try_for_each(|client| client.join().expect("a client panicked"))
    })?;
    let cost = Cost {
        wall: begun.elapsed(),
        cpu: cpu_of(&fs::read_to_string(&stat)?)?.saturating_sub(before),
        peak_kib: high_water(&fs::read_to_string(format!("/proc/{}/status", agent.id()))?)
            .context("the agent's peak memory")?,
    };
    end(&mut agent, batches * BATCH)?;
    Ok(cost)
}

fn start(program: &Path, input: &str, port: u16) -> Result<Child> {
    let port = format!("port={port}");
    Command::new(program)
        .args(["-f", "0.2", "-i", input, "-p", "listen=127.0.0.1", "-p", &port])
        .args(["-o", "null", "-m", "*"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))
}

/// Ends an agent, which must have delivered so many records.
fn end(agent: &mut Child, records: usize) -> Result<()> {
    let id = agent.id().to_string();
    ensure!(Command::new("kill").args(["-s", "TERM", &id]).status()?.success(), "no kill");
    let mut said = String::new();
    agent.stderr.take().context("the agent's words")?.read_to_string(&mut said)?;
    ensure!(agent.wait()?.success(), "the agent failed: {said}");
    let delivered = format!("{records} records: {records} delivered");
    ensure!(said.contains(&delivered), "not all is delivered: {said}");
    Ok(())
}

/// Connects as soon as somebody listens.
fn connect(port: u16) -> Result<TcpStream> {
    let begun = Instant::now();
    let client = loop {
        match TcpStream::connect(("127.0.0.1", port)) {
            Ok(client) => break client,
            Err(error) => ensure!(begun.elapsed() < PATIENCE, "nobody listens: {error}"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(PATIENCE))?;
    Ok(client)
}

fn send(client: TcpStream, batch: &Batch, times: usize) -> Result<()> {
    let mut answers = BufReader::new(client.try_clone()?);
    let mut client = client;
    for _ in 0..times {
        client.write_all(&batch.bytes)?;
        let mut answer = vec![0; batch.answer.len()];
        answers.read_exact(&mut answer)?;
        ensure!(answer == batch.answer, "a batch is refused: {}", answer.escape_ascii());
        let mut line = Vec::new();
        while batch.is_http && line != b"\r\n" {
            line.clear();
            ensure!(answers.read_until(b'\n', &mut line)? > 0, "the answer has no end");
        }
    }
    Ok(())
}

fn http_batch() -> Batch {
    let body = lines::file(Shape::Service, LENGTH, BATCH);
    let head = format!(
        "POST /bench HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = b"HTTP/1.1 201 Created\r\n";
    Batch { bytes: (head + &body).into_bytes(), answer, is_http: true }
}

/// `[tag, [[time, record], ..], {"chunk": "bench"}]`
fn forward_batch() -> Result<Batch> {
    let mut bytes = vec![0x93];
    text("bench", &mut bytes);
    bytes.push(0xdd);
    bytes.extend((BATCH as u32).to_be_bytes());
    for line in lines::file(Shape::Service, LENGTH, BATCH).lines() {
        bytes.extend([0x92, 0xd7, 0x00, 0x65, 0x53, 0xf1, 0x00, 0, 0, 0, 0]);
        value(&serde_json::from_str(line)?, &mut bytes);
    }
    bytes.push(0x81);
    text("chunk", &mut bytes);
    text("bench", &mut bytes);
    Ok(Batch { bytes, answer: b"\x81\xa3ack\xa5bench", is_http: false })
}

/// Writes a value as msgpack.
fn value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Bool(is_true) => out.push(0xc2 + u8::from(*is_true)),
        Value::String(string) => text(string, out),
        Value::Number(number) => match number.as_u64().map(u32::try_from) {
            Some(Ok(small @ 0..128)) => out.push(small as u8),
            Some(Ok(number)) => {
                out.push(0xce);
                out.extend(number.to_be_bytes());
            }
            _ => {
                out.push(0xcb);
                out.extend(number.as_f64().unwrap_or_default().to_be_bytes());
            }
        },
        Value::Array(items) => {
            out.push(0xdc);
            out.extend((items.len() as u16).to_be_bytes());
            items.iter().for_each(|item| self::value(item, out));
        }
        Value::Object(entries) => {
            out.push(0xde);
            out.extend((entries.len() as u16).to_be_bytes());
            for (key, entry) in entries {
                text(key, out);
                self::value(entry, out);
            }
        }
    }
}

fn text(text: &str, out: &mut Vec<u8>) {
    match text.len() {
        short @ 0..32 => out.push(0xa0 + short as u8),
        long => {
            out.push(0xda);
            out.extend((long as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_msgpack() {
        let mut out = Vec::new();
        value(&serde_json::json!({"a": [1, 300, null, true, 0.5]}), &mut out);
        let numbers = b"\xdc\0\x05\x01\xce\0\0\x01\x2c\xc0\xc3\xcb\x3f\xe0\0\0\0\0\0\0";
        assert_eq!(out, [&b"\xde\0\x01\xa1a"[..], numbers].concat());
    }
}
