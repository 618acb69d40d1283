//! `flb-agent top` and `flb-agent tap`: a running agent in the terminal, over the same API as its page.

mod client;
mod frame;
mod screen;
mod told;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use client::Client;
pub(crate) use client::{Address, AddressError};
use frame::Frame;
use screen::Screen;
use told::Told;

use crate::exit;

/// How often a running agent is asked.
const EVERY: Duration = Duration::from_secs(1);
/// The width of a frame that no terminal bounds.
const WIDE: usize = 120;

/// A running agent to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) agent: Address,
    /// Whether one look is enough.
    pub(crate) once: bool,
}

/// Shows what the agent does, until a key ends it. Where nobody sits at a terminal, and with `--once`, one look is printed.
pub(crate) fn top(watched: &Watched) -> anyhow::Result<u8> {
    let client = Client::new(&watched.agent)?;
    if watched.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let frame = Frame::of(&look(&client)?, WIDE);
        return printed(&frame.text());
    }
    let mut screen = Screen::open()?;
    loop {
        // An agent that is away, or being started anew, is waited for.
        let frame = match look(&client) {
            Ok(told) => Frame::of(&told, screen.width()),
            Err(error) => Frame::away(&watched.agent, &error),
        };
        screen.show(&frame)?;
        if screen.is_left_within(EVERY, &frame)? {
            return Ok(exit::DONE);
        }
    }
}

fn look(client: &Client) -> anyhow::Result<Told> {
    let answer = client.get("/api/v1/pipeline")?;
    serde_json::from_value(answer).context("the answer is not what an agent of this version tells")
}

/// Prints records on their way through a node, one a second, until nobody reads any more; with `--once` one.
pub(crate) fn tap(node: &str, watched: &Watched) -> anyhow::Result<u8> {
    let client = Client::new(&watched.agent)?;
    let path = path_of(&look(&client)?, node)?;
    loop {
        let sample = client.get(&path)?;
        if sample["fate"].is_null() && watched.once {
            bail!("no record came to {node} within five seconds");
        }
        let code = printed(&frame::sample(&sample))?;
        if watched.once {
            return Ok(code);
        }
        std::thread::sleep(EVERY);
    }
}

/// Where records of a node are tapped, which has this name, or this kind and name: `filters/enrich`.
fn path_of(told: &Told, node: &str) -> anyhow::Result<String> {
    let names = |kind: &str, name: &str| name == node || format!("{kind}/{name}") == *node;
    let found: Vec<(&str, &str)> = told.nodes().filter(|&(kind, name)| names(kind, name)).collect();
    match found.as_slice() {
        [(kind, name)] => Ok(format!("/api/v1/tap/{kind}/{}", client::escaped(name))),
        [] => {
            let all: Vec<String> =
                told.nodes().map(|(kind, name)| format!("{kind}/{name}")).collect();
            bail!("the pipeline has no node '{node}'; help: there are {}", all.join(", "))
        }
        [(kind, name), ..] => {
            bail!("there are several nodes '{node}'; help: say which, as {kind}/{name}")
        }
    }
}

/// Writes to standard output. Somebody who stops reading has read enough.
fn printed(text: &str) -> anyhow::Result<u8> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            std::process::exit(exit::DONE.into())
        }
        written => written.context("cannot write to standard output").map(|()| exit::DONE),
    }
}

/// The text under a key, or nothing.
fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_found_by_its_name_or_by_kind_and_name() {
        let node = |name| json!({"name": name, "plugin": "p", "state": "ok", "last_minute": {}});
        let told: Told = serde_json::from_value(json!({
            "version": "1", "uptime_ms": 0,
            "inputs": [node("app")], "filters": [node("app"), node("app/grep.0")], "outputs": [],
        }))
        .unwrap();
        let path = |node| path_of(&told, node).map_err(|error| error.to_string());
        assert_eq!(path("app/grep.0").unwrap(), "/api/v1/tap/filters/app%2Fgrep.0");
        assert_eq!(path("inputs/app").unwrap(), "/api/v1/tap/inputs/app");
        assert!(path("app").unwrap_err().contains("say which, as inputs/app"));
        assert!(path("ap").unwrap_err().contains("there are inputs/app, filters/app"));
    }
}
