//! docs/compat.md against the tables: no property may be missing there, neither one that a table of ours has nor one that Fluent Bit
//! takes. That the rows name tests which exist is for `cargo xtask tidy` to see.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use flb_config::Role;
use flb_pipeline::core_properties;
use flb_plugin::{Spec, Table};
use flb_plugins::REGISTRY;

/// What inputs and outputs that speak to the network have in common has one table.
const NETWORK: &str = "Network: what inputs and outputs share";
const CORE: &str = "Core properties";

/// The properties that each section of the page has a row for; `x.*` stands for all that begin like it.
struct Page(BTreeMap<String, Vec<String>>);

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    fs::read_to_string(root.join(path)).unwrap()
}

/// The text below each heading `## ..`.
fn sections(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split("\n## ").skip(1).map(|section| section.split_once('\n').unwrap())
}

/// The properties that a row's first cell names: `regex, exclude`, `format json (invalid)`, `` `Flush` ``. What stands in brackets is
/// something else.
fn named(cell: &str) -> Vec<String> {
    let outside = cell.split('(').enumerate().map(|(depth, part)| match depth {
        0 => part,
        _ => part.split_once(')').map_or("", |(_, behind)| behind),
    });
    let outside: String = outside.collect();
    let name = |part: &str| match part.split_once('`') {
        Some((_, quoted)) => quoted.split('`').next().map(str::to_lowercase),
        None => part.split_whitespace().next().map(str::to_lowercase),
    };
    outside.split([',', ';']).filter_map(name).collect()
}

impl Page {
    fn read() -> Self {
        let text = read("docs/compat.md");
        let rows = sections(&text).map(|(heading, below)| {
            let cells =
                below.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
            (heading.replace('`', ""), cells.flat_map(named).collect())
        });
        Self(rows.collect())
    }

    fn has(&self, section: &str, key: &str) -> bool {
        let fits = |name: &String| match name.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning),
            None => name == key,
        };
        let places = [section, NETWORK, CORE].into_iter().filter_map(|place| self.0.get(place));
        places.flatten().any(fits)
    }

    fn lack(&self, section: &str, keys: impl IntoIterator<Item = impl AsRef<str>>) -> Vec<String> {
        let keys = keys.into_iter();
        let lacking = keys.filter(|key| !self.has(section, &key.as_ref().to_lowercase()));
        lacking.map(|key| format!("{section}: {}", key.as_ref())).collect()
    }

    fn lack_of<T: ?Sized>(&self, kind: &str, specs: &[Spec<T>]) -> Vec<String> {
        let lacking = specs.iter().flat_map(|spec| {
            let section = format!("{kind} {}", spec.name);
            self.lack(&section, spec.options.names())
        });
        lacking.collect()
    }
}

#[test]
fn every_property_of_our_tables_has_a_row() {
    let page = Page::read();
    let mut lacking = page.lack_of("Input", REGISTRY.inputs);
    lacking.extend(page.lack_of("Filter", REGISTRY.filters));
    lacking.extend(page.lack_of("Output", REGISTRY.outputs));
    for spec in REGISTRY.parsers {
        lacking.extend(page.lack("Parsers", spec.options.names()));
    }
    for spec in REGISTRY.multiline {
        lacking.extend(page.lack("Multiline parsers", spec.options.names()));
    }
    for role in [Role::Input, Role::Filter, Role::Processor, Role::Output] {
        let rows = core_properties(role).rows().filter(|row| !row.about.is_empty());
        lacking.extend(page.lack(CORE, rows.map(|row| row.name)));
    }
    let service =
        Table(&[flb_pipeline::SERVICE, flb_plugin::SERVICE, flb_plugins::service::SERVICE]);
    lacking.extend(page.lack("[SERVICE]", service.names()));
    assert!(lacking.is_empty(), "no row in docs/compat.md:\n{}", lacking.join("\n"));
}

#[test]
fn every_property_of_fluent_bit_has_a_row() {
    let page = Page::read();
    let keys = read("tests/compat/keys.txt");
    let lacking: Vec<String> = sections(&keys)
        .flat_map(|(heading, below)| page.lack(heading, below.split_whitespace()))
        .collect();
    assert!(lacking.is_empty(), "no row in docs/compat.md:\n{}", lacking.join("\n"));
}

#[test]
fn a_cell_names_properties() {
    let names = named("`Health_Check`, storage.*, format json (x, y), (records); input `Tag`");
    assert_eq!(names, ["health_check", "storage.*", "format", "tag"]);
}
