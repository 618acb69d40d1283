//! Circles: no two files of a crate name each other, not even by way of others.
//!
//! A path leads to the file that what it names is written in, also where another file passes the name on. What a file
//! takes from the modules around it makes no circle: a module and its parts may know each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::tree::Tree;
use super::uses::{Named, Uses};

/// How many files may pass on a name.
const PASSED_ON: usize = 8;

/// Every circle of each crate.
pub(super) fn circles(tree: &Tree) -> Vec<String> {
    let folders: BTreeSet<&str> = tree.rust().filter_map(|(path, _)| source_folder(path)).collect();
    folders.into_iter().flat_map(|folder| Crate::read(tree, folder).circles()).collect()
}

/// The folder with a crate's sources that the file is in.
fn source_folder(path: &str) -> Option<&str> {
    let is_ours = path.starts_with("crates/") || path.starts_with("xtask/");
    path.find("/src/").filter(|_| is_ours).map(|at| &path[..at + "/src/".len()])
}

/// Where a module stands in its crate.
type Place = Vec<String>;

/// The files of a crate that are not for tests.
struct Crate<'a> {
    folder: &'a str,
    /// By where they stand: the path below the folder, and what the file names.
    files: BTreeMap<Place, (&'a str, Uses)>,
}

/// For each file the files that it leads to, and what it names of them.
type Edges = BTreeMap<Place, BTreeMap<Place, String>>;

impl<'a> Crate<'a> {
    fn read(tree: &'a Tree, folder: &'a str) -> Self {
        let mut files: BTreeMap<Place, (&str, Uses)> = tree
            .rust()
            .filter_map(|(path, text)| Some((path.strip_prefix(folder)?, text)))
            .map(|(path, text)| (place(path), (path, Uses::of(text))))
            .collect();
        let tests: BTreeSet<Place> = files
            .iter()
            .flat_map(|(place, (_, uses))| uses.tests.iter().map(|name| child(place, name)))
            .collect();
        files.retain(|place, _| (1..=place.len()).all(|length| !tests.contains(&place[..length])));
        Self { folder, files }
    }

    fn edges(&self) -> Edges {
        let edges = self.files.iter().map(|(place, (_, uses))| {
            let named = uses.imports.values().chain(&uses.paths);
            let to = named
                .filter_map(|named| Some((self.follow(place, named, PASSED_ON)?, named)))
                .filter(|((to, rest), _)| !rest.is_empty() && !place.starts_with(to))
                .map(|((to, _), named)| (to, named.parts.join("::")))
                .collect();
            (place.clone(), to)
        });
        edges.collect()
    }

    /// The file that a path written in `file` leads to, and the rest of the path inside it; none for another crate.
    fn follow(&self, file: &Place, named: &Named, left: usize) -> Option<(Place, Vec<String>)> {
        let left = left.checked_sub(1)?;
        let mut here = [file.as_slice(), &named.within].concat();
        let (first, mut rest) = named.parts.split_first()?;
        match first.as_str() {
            "crate" => here.clear(),
            "self" => {}
            "super" => {
                here.pop();
                while let Some((_, after)) = rest.split_first().filter(|(next, _)| *next == "super")
                {
                    here.pop();
                    rest = after;
                }
            }
            name if self.files.contains_key(&child(&here, name)) => here.push(name.to_owned()),
            name => {
                let known = &self.files.get(file)?.1.imports;
                let import = known.get(name).filter(|import| import.parts != [name])?;
                return self.follow(file, &import.and(rest), left);
            }
        }
        self.reach(&[&here, rest].concat(), left)
    }

    /// The file behind a path from the crate's root, past the files that only pass the name on.
    fn reach(&self, path: &[String], left: usize) -> Option<(Place, Vec<String>)> {
        let length = (0..=path.len()).rev().find(|&n| self.files.contains_key(&path[..n]))?;
        let (file, rest) = (path[..length].to_vec(), path[length..].to_vec());
        let passed_on = rest.first().and_then(|name| self.files.get(&file)?.1.imports.get(name));
        passed_on
            .and_then(|import| self.follow(&file, &import.and(&rest[1..]), left))
            .or(Some((file, rest)))
    }

    fn circles(&self) -> Vec<String> {
        let edges = &self.edges();
        let reached: BTreeMap<&Place, BTreeSet<&Place>> =
            edges.keys().map(|from| (from, reached(edges, from))).collect();
        let circle_of = |(from, to): (&&Place, &BTreeSet<&Place>)| -> BTreeSet<Place> {
            let leads_back = |to: &&&Place| reached[**to].contains(*from);
            to.iter().filter(leads_back).map(|place| (*place).clone()).collect()
        };
        let circles: BTreeSet<_> = reached.iter().map(circle_of).collect();
        let circles = circles.iter().filter(|circle| !circle.is_empty());
        circles.map(|circle| self.circle(edges, circle)).collect()
    }

    /// Which files make the circle, and the shortest way around: each file, and what it names of the next.
    fn circle(&self, edges: &Edges, places: &BTreeSet<Place>) -> String {
        let way = places.iter().map(|place| way_around(edges, place)).min_by_key(Vec::len);
        let step = |(from, named): &(&Place, &str)| format!("{} ({named}) -> ", self.path(from));
        let way = way.unwrap_or_default();
        let back = way.first().map_or("", |(first, _)| self.path(first));
        let way = way.iter().map(step).collect::<String>() + back;
        let mut files: Vec<_> = places.iter().map(|place| self.path(place)).collect();
        files.sort_unstable();
        format!("{}: a circle of {}: {way}", self.folder, files.join(" "))
    }

    fn path(&self, place: &Place) -> &'a str {
        self.files.get(place).map_or("", |(path, _)| path)
    }
}

impl Named {
    /// The path with something behind it.
    fn and(&self, rest: &[String]) -> Self {
        Self { within: self.within.clone(), parts: [&self.parts, rest].concat() }
    }
}

/// The module that a file is, by where it is below the folder of the sources.
fn place(path: &str) -> Place {
    let mut place: Place = path.trim_end_matches(".rs").split('/').map(ToOwned::to_owned).collect();
    if place.last().is_some_and(|last| last == "mod") || place == ["lib"] || place == ["main"] {
        place.pop();
    }
    place
}

fn child(place: &[String], name: &str) -> Place {
    [place, &[name.to_owned()]].concat()
}

/// Every file that `from` leads to, by way of others too.
fn reached<'a>(edges: &'a Edges, from: &Place) -> BTreeSet<&'a Place> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Place> = edges[from].keys().collect();
    while let Some(next) = open.pop() {
        if reached.insert(next) {
            open.extend(edges[next].keys());
        }
    }
    reached
}

/// The shortest way from a file back to itself.
fn way_around<'a>(edges: &'a Edges, start: &'a Place) -> Vec<(&'a Place, &'a str)> {
    let mut open = VecDeque::from([(start, Vec::new())]);
    let mut seen = BTreeSet::new();
    while let Some((from, way)) = open.pop_front() {
        for (to, named) in &edges[from] {
            let mut way = way.clone();
            way.push((from, named.as_str()));
            if to == start {
                return way;
            }
            if seen.insert(to) {
                open.push_back((to, way));
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of one crate, and the circles that they make: their files' names, divided by blanks.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let in_crate: Vec<_> =
            files.iter().map(|(path, text)| (format!("crates/a/src/{path}"), *text)).collect();
        let in_crate: Vec<_> = in_crate.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        let found = circles(&Tree::of(&in_crate));
        let names = |line: &String| Some(line.split(": ").nth(1)?.replace("a circle of ", ""));
        let found: Vec<_> = found.iter().filter_map(names).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn files_that_name_each_other_make_a_circle() {
        check(
            &[
                ("lib.rs", "mod a; mod b;"),
                ("a.rs", "use crate::b::B;"),
                ("b.rs", "fn f() { crate::a::g() }"),
            ],
            &["a.rs b.rs"],
        );
        check(&[("a.rs", "use super::b::B;"), ("b.rs", "use std::fmt;")], &[]);
    }

    #[test]
    fn a_circle_may_go_by_way_of_others() {
        check(
            &[
                ("a.rs", "use crate::b::{c, D};"),
                ("b/mod.rs", "mod c; pub struct D; fn f() { c::g() }"),
                ("b/c.rs", "use crate::a::A;"),
                ("e.rs", "use crate::a::A;"),
            ],
            &["a.rs b/c.rs b/mod.rs"],
        );
    }

    #[test]
    fn a_name_that_is_passed_on_leads_to_where_it_is_written() {
        let root = ("lib.rs", "mod a; mod b; pub use b::C;");
        check(&[root, ("a.rs", "use crate::C;"), ("b.rs", "use crate::a::A;")], &["a.rs b.rs"]);
        check(&[root, ("a.rs", "use crate::C;"), ("b.rs", "use crate::D;")], &[]);
    }

    #[test]
    fn an_imported_module_counts_where_it_is_used() {
        let b = ("b.rs", "use crate::a::A;");
        check(&[("a.rs", "use crate::b;"), b], &[]);
        check(&[("a.rs", "use crate::b; fn f() { b::g() }"), b], &["a.rs b.rs"]);
    }

    #[test]
    fn a_module_and_its_parts_may_know_each_other() {
        check(
            &[("a/mod.rs", "mod b; fn f() { b::g() } struct C;"), ("a/b.rs", "use super::C;")],
            &[],
        );
        check(
            &[
                ("a/mod.rs", "mod b; mod c; use b::B;"),
                ("a/b.rs", "use super::c::C;"),
                ("a/c.rs", "use super::B;"),
            ],
            &["a/b.rs a/c.rs"],
        );
    }

    #[test]
    fn tests_may_know_everything() {
        check(
            &[
                (
                    "a.rs",
                    "use crate::b::B; #[cfg(test)] mod tests; #[cfg(test)] mod more { use crate::c::C; }",
                ),
                ("a/tests.rs", "use crate::c::C;"),
                ("b.rs", ""),
                ("c.rs", "use crate::a::A;"),
            ],
            &[],
        );
    }

    #[test]
    fn a_circle_is_told_with_the_way_around() {
        let tree = Tree::of(&[
            ("crates/a/src/b.rs", "use crate::c::D;"),
            ("crates/a/src/c.rs", "fn f() { crate::b::g() }"),
        ]);
        assert_eq!(
            circles(&tree),
            [
                "crates/a/src/: a circle of b.rs c.rs: b.rs (crate::c::D) -> c.rs (crate::b::g) -> b.rs"
            ]
        );
    }
}
