//! `mem`: how much memory the machine, or one process, uses.

use flb_event::msgpack;
use flb_plugin::keys::{Int, Key};
use flb_plugin::{Build, BuildError, Input, Options, Spec, Table, keys};
use procfs::process::Process;
use procfs::{Current as _, Meminfo};

use super::shared::interval;
use super::shared::sampler::{Sample, Sampler};
use flb_plugin::log::Label;

keys! {
    const KEYS;
    PID: Option<Int> = Key::new("pid", "A process to tell of, too");
}

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "mem",
    about: "Tell how much memory is used",
    options: Table(&[KEYS, interval::KEYS]),
    build,
};

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let pid = options.get(PID).and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    Ok(Box::new(Sampler {
        tag: build.tag.clone(),
        label: Label::input("mem", build),
        interval: interval::interval(options),
        limit: None,
        source: Memory { pid },
    }))
}

struct Memory {
    pid: Option<i32>,
}

impl Sample for Memory {
    fn sample(&mut self, body: &mut Vec<u8>) -> Result<bool, String> {
        let info = Meminfo::current().map_err(|error| error.to_string())?;
        let process = self.pid.map(process).transpose()?;
        msgpack::write_map_header(body, if process.is_some() { 8 } else { 6 });
        let mut number = |key: &str, value: u64| {
            msgpack::write_str(body, key);
            msgpack::write_uint(body, value);
        };
        number("Mem.total", info.mem_total / 1024);
        number("Mem.used", info.mem_total.saturating_sub(info.mem_free) / 1024);
        number("Mem.free", info.mem_free / 1024);
        number("Swap.total", info.swap_total / 1024);
        number("Swap.used", info.swap_total.saturating_sub(info.swap_free) / 1024);
        number("Swap.free", info.swap_free / 1024);
        if let Some(bytes) = process {
            number("proc_bytes", bytes);
            msgpack::write_str(body, "proc_hr");
            msgpack::write_str(body, readable(bytes));
        }
        Ok(true)
    }
}

/// Bytes of the process that are in memory.
fn process(pid: i32) -> Result<u64, String> {
    let status = Process::new(pid).and_then(|process| process.stat());
    let pages = status.map_err(|error| error.to_string())?.rss;
    Ok(pages * procfs::page_size())
}

/// As a person reads it: `12.34M`.
fn readable(bytes: u64) -> String {
    let units = ["b", "K", "M", "G", "T", "P", "E"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}b") } else { format!("{value:.2}{}", units[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::Scene;

    #[test]
    fn the_machine_and_a_process_are_told_of() {
        let scene = Scene::new(1000.0).until(1001.5);
        let pid = std::process::id().to_string();
        scene.run(&SPEC, &[("pid", &pid)]).unwrap();
        let body = &scene.bodies()[0];
        let keys = ["Mem.total", "Mem.used", "Mem.free", "Swap.total", "Swap.used", "Swap.free"];
        for key in keys.iter().chain(&["proc_bytes", "proc_hr"]) {
            assert!(body.contains(&format!("\"{key}\":")), "{body}");
        }
        assert!(!body.contains("\"Mem.total\":0,"), "{body}");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error_line() {
        let scene = Scene::new(1000.0).until(1001.5);
        scene.run(&SPEC, &[("pid", "2147483647")]).unwrap();
        assert!(scene.log().contains("no sample: "), "{}", scene.log());
    }

    #[test]
    fn sizes_are_readable() {
        assert_eq!(readable(1000), "1000b");
        assert_eq!(readable(1536), "1.50K");
        assert_eq!(readable(5 << 30), "5.00G");
    }
}
