//! `docs/architecture.svg`: the block of docs/architecture.md as a drawing, the programs on top. `cargo xtask tidy --draw` draws it anew.
//!
//! A crate stands above all that it needs. An arrow that follows from two others is left out, and so is what only tests and chores are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::edges::drawn;
use super::tree::Tree;

pub(super) const PICTURE: &str = "docs/architecture.svg";

/// What users have in hands; all else is drawn because one of these needs it.
const PROGRAMS: &[&str] = &["agent", "fluent-bit", "wamrc"];

const BOX: (usize, usize) = (92, 30);
const GAP: (usize, usize) = (22, 46);
const MARGIN: usize = 12;

/// Says so when the drawing is not of what is written.
pub(super) fn outdated(tree: &Tree) -> Vec<String> {
    if tree.text(PICTURE) == Some(&svg(tree)) {
        return Vec::new();
    }
    vec![format!("{PICTURE}: not what docs/architecture.md says; run cargo xtask tidy --draw")]
}

/// The drawing.
pub(super) fn svg(tree: &Tree) -> String {
    let needs = reachable(&drawn(tree));
    let floors = floors(&needs);
    let arrows = reduced(&needs);
    render(&ordered(floors, &arrows), &arrows)
}

/// Who needs whom directly.
type Needs = BTreeMap<String, BTreeSet<String>>;

/// The programs, and what is in them.
fn reachable(all: &Needs) -> Needs {
    let mut needs = Needs::new();
    let mut open: Vec<String> = PROGRAMS.iter().map(|&name| name.to_owned()).collect();
    while let Some(name) = open.pop() {
        let Some(needed) = all.get(&name).filter(|_| !needs.contains_key(&name)) else { continue };
        open.extend(needed.iter().cloned());
        needs.insert(name, needed.clone());
    }
    needs
}

/// How high a crate stands: one above the highest that it needs. There are no circles: cargo sees to that.
fn height(name: &str, needs: &Needs) -> usize {
    let Some(needed) = needs.get(name) else { return 0 };
    needed.iter().map(|below| 1 + height(below, needs)).max().unwrap_or(0)
}

/// The crates by height, the highest first; programs stand on top, whatever they need.
fn floors(needs: &Needs) -> Vec<Vec<String>> {
    let top = needs.keys().map(|name| height(name, needs)).max().unwrap_or(0);
    let mut floors = vec![Vec::new(); top + 1];
    for name in needs.keys() {
        let height = if PROGRAMS.contains(&name.as_str()) { top } else { height(name, needs) };
        floors[top - height].push(name.clone());
    }
    floors
}

/// Without the arrows that follow from others.
fn reduced(needs: &Needs) -> Needs {
    let reaches = |from: &str, to: &str| reachable_from(from, needs).contains(to);
    let keep = |needed: &BTreeSet<String>| {
        needed
            .iter()
            .filter(|to| !needed.iter().any(|by| by != *to && reaches(by, to)))
            .cloned()
            .collect()
    };
    needs.iter().map(|(name, needed)| (name.clone(), keep(needed))).collect()
}

fn reachable_from<'a>(name: &'a str, needs: &'a Needs) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        for below in needs.get(name).into_iter().flatten() {
            if seen.insert(below.as_str()) {
                open.push(below);
            }
        }
    }
    seen
}

/// Each floor in an order in which arrows cross seldom: near the middle of those that they lead to and come from.
fn ordered(mut floors: Vec<Vec<String>>, arrows: &Needs) -> Vec<Vec<String>> {
    for _ in 0..8 {
        for at in 0..floors.len() {
            let places = places(&floors);
            let near = |name: &String| middle(name, &places, arrows);
            floors[at].sort_by_key(near);
        }
    }
    floors
}

/// Where the middle of a crate's box is.
fn places(floors: &[Vec<String>]) -> BTreeMap<String, (usize, usize)> {
    let width = |floor: &Vec<String>| floor.len() * (BOX.0 + GAP.0);
    let widest = floors.iter().map(width).max().unwrap_or(0);
    let mut places = BTreeMap::new();
    for (at, floor) in floors.iter().enumerate() {
        let left = MARGIN + (widest - width(floor)) / 2 + (BOX.0 + GAP.0) / 2;
        for (nth, name) in floor.iter().enumerate() {
            let y = MARGIN + BOX.1 / 2 + at * (BOX.1 + GAP.1);
            places.insert(name.clone(), (left + nth * (BOX.0 + GAP.0), y));
        }
    }
    places
}

fn middle(name: &str, places: &BTreeMap<String, (usize, usize)>, arrows: &Needs) -> usize {
    let below = arrows.get(name).into_iter().flatten();
    let above = arrows.iter().filter(|(_, needed)| needed.contains(name)).map(|(by, _)| by);
    let across: Vec<usize> =
        below.chain(above).filter_map(|other| places.get(other)).map(|(x, _)| *x).collect();
    let own = places.get(name).map_or(0, |(x, _)| *x);
    if across.is_empty() { own } else { across.iter().sum::<usize>() / across.len() }
}

const STYLE: &str = "rect{fill:#f6f8fa;stroke:#8c959f}.program{fill:#ddf4ff;stroke:#0969da}text{fill:#1f2328;font:13px system-ui,sans-serif;\
    text-anchor:middle;dominant-baseline:central}path{fill:none;stroke:#8c959f;stroke-width:1.2}\
    @media(prefers-color-scheme:dark){rect{fill:#151b23;stroke:#656c76}.program{fill:#0c2d4a;stroke:#4493f8}text{fill:#f0f6fc}path{stroke:#656c76}}";

fn render(floors: &[Vec<String>], arrows: &Needs) -> String {
    let places = places(floors);
    let most = floors.iter().map(Vec::len).max().unwrap_or(0);
    let width = 2 * MARGIN + most * (BOX.0 + GAP.0);
    let height = 2 * MARGIN + floors.len() * (BOX.1 + GAP.1) - GAP.1;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\">\n\
         <title>Crates, each above those that it needs</title>\n<style>{STYLE}</style>\n"
    );
    for (name, needed) in arrows {
        for below in needed {
            let ((x, y), (to_x, to_y)) = (places[name], places[below]);
            let (y, to_y) = (y + BOX.1 / 2, to_y - BOX.1 / 2);
            let bend = y.midpoint(to_y);
            _ = writeln!(svg, "<path d=\"M{x} {y}C{x} {bend} {to_x} {bend} {to_x} {to_y}\"/>");
        }
    }
    for (name, (x, y)) in &places {
        let class = if PROGRAMS.contains(&name.as_str()) { " class=\"program\"" } else { "" };
        let (left, top) = (x - BOX.0 / 2, y - BOX.1 / 2);
        _ = writeln!(
            svg,
            "<rect{class} x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{}\" rx=\"6\"/><text x=\"{x}\" y=\"{y}\">{name}</text>",
            BOX.0, BOX.1
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(rows: &[(&str, &[&str])]) -> Needs {
        let row = |(name, needed): &(&str, &[&str])| {
            ((*name).to_owned(), needed.iter().map(|&name| name.to_owned()).collect())
        };
        rows.iter().map(row).collect()
    }

    #[test]
    fn a_crate_stands_above_what_it_needs_and_programs_on_top() {
        let all = needs(&[
            ("agent", &["plugin", "event"]),
            ("wamrc", &["event"]),
            ("plugin", &["event"]),
            ("event", &[]),
            ("xtask", &["event"]),
        ]);
        let seen = reachable(&all);
        assert_eq!(floors(&seen), [vec!["agent", "wamrc"], vec!["plugin"], vec!["event"]]);
        assert_eq!(
            reduced(&seen),
            needs(&[
                ("agent", &["plugin"]),
                ("wamrc", &["event"]),
                ("plugin", &["event"]),
                ("event", &[])
            ])
        );
    }

    #[test]
    fn a_drawing_of_something_else_is_found() {
        let block = "## Who may depend on whom\n```\nagent -> event\nevent ->\n```\n";
        let page = ("docs/architecture.md", block);
        let drawn = svg(&Tree::of(&[page]));
        assert!(drawn.contains(">agent</text>") && drawn.matches("<path").count() == 1);
        assert!(outdated(&Tree::of(&[page, (PICTURE, &drawn)])).is_empty());
        assert_eq!(outdated(&Tree::of(&[page])).len(), 1);
    }
}
