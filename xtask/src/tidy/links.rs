//! Links in documents: each leads to a file of the project, and to a heading that the file has. What is elsewhere is not asked for.

use std::collections::{BTreeSet, HashMap};

use super::tree::Tree;

/// Links to files that are not there, and to headings that a page does not have.
pub(super) fn dead(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| is_page(&file.path)) {
        for (line, target) in links(file.text().unwrap_or_default()) {
            if let Some(fault) = fault(tree, &file.path, target) {
                found.push(format!("{}:{line}: {target}: {fault}", file.path));
            }
        }
    }
    found
}

/// The list of the book's pages, in their order.
pub(crate) const SUMMARY: &str = "docs/SUMMARY.md";

/// Pages that the book's list leaves out, though they lie in docs/ or a listed page leads to them.
pub(super) fn unlisted(tree: &Tree) -> Vec<String> {
    let Some(summary) = tree.text(SUMMARY) else { return vec![format!("{SUMMARY}: missing")] };
    let listed: BTreeSet<String> = files(SUMMARY, summary).collect();
    let in_folder = tree.files.iter().map(|file| file.path.clone());
    let in_folder = in_folder.filter(|path| path.starts_with("docs/"));
    let linked = listed.iter().flat_map(|page| files(page, tree.text(page).unwrap_or_default()));
    let wanted: BTreeSet<String> =
        in_folder.chain(linked).filter(|path| is_page(path) && path != SUMMARY).collect();
    wanted.difference(&listed).map(|page| format!("{SUMMARY}: does not list {page}")).collect()
}

/// The files that a page's links lead to, from the project's root.
pub(crate) fn files<'a>(page: &'a str, text: &'a str) -> impl Iterator<Item = String> + 'a {
    let inside = links(text).filter(|(_, target)| !is_elsewhere(target));
    let paths = inside.map(|(_, target)| target.split('#').next().unwrap_or_default());
    paths.filter(|path| !path.is_empty()).map(|path| joined(page, path))
}

fn is_elsewhere(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// Not those that `flb-wamrc new` fills in.
fn is_page(path: &str) -> bool {
    path.ends_with(".md") && !path.contains("/templates/")
}

/// What is wrong with a link on a page.
fn fault(tree: &Tree, page: &str, target: &str) -> Option<String> {
    // A chapter that is not written yet has no page.
    if is_elsewhere(target) || (page == SUMMARY && target.is_empty()) {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(p, a)| (p, Some(a)));
    let path = if path.is_empty() { page.to_owned() } else { joined(page, path) };
    if !exists(tree, &path) {
        return Some(format!("there is no {path}"));
    }
    let anchor = anchor.filter(|_| is_page(&path))?;
    let is_there = headings(tree.text(&path).unwrap_or_default()).any(|id| id == anchor);
    (!is_there).then(|| format!("{path} has no such heading"))
}

/// A path on a page, from the project's root.
fn joined(page: &str, path: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let is_root = path.is_empty();
    is_root
        || tree.files.iter().any(|file| {
            file.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Lines of a page outside of its blocks of code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_block = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        !in_block && !is_fence
    })
}

/// Where links and pictures lead, with the numbers of their lines. What stands in backticks is none.
fn links(text: &str) -> impl Iterator<Item = (usize, &str)> {
    prose(text).flat_map(|(number, line)| {
        let outside = line.match_indices("](").filter(|(at, _)| {
            line[..*at].matches('`').count().is_multiple_of(2) || line[..*at].ends_with('`')
        });
        outside
            .filter_map(|(at, _)| line[at + 2..].split(')').next())
            .map(move |target| (number, target))
            .collect::<Vec<_>>()
    })
}

/// What a page's headings are called in a link: as forges and mdBook make it, the second of a name with `-1` behind it.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    prose(text).filter(|(_, line)| line.starts_with('#')).map(move |(_, line)| {
        let id = id(line.trim_start_matches('#').trim());
        let before = seen.entry(id.clone()).or_default();
        *before += 1;
        if *before == 1 { id } else { format!("{id}-{}", *before - 1) }
    })
}

fn id(heading: &str) -> String {
    let kept = heading.chars().filter(|&c| c.is_alphanumeric() || " -_".contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_nowhere_are_named() {
        let tree = Tree::of(&[
            (
                "docs/a.md",
                "# A page\n[b](b.md) [c](b.md#the-c-heading) ![p](p.svg) [up](../README.md)\n\
                 [x](x.md) [self](#a-page) [y](b.md#y)\n```\n[z](z.md)\n```\n`[z](z.md)` [`b`](q.md)\n\
                 [out](https://example.org/x.md) [folder](../docs/) [root](..)\n",
            ),
            ("docs/b.md", "# B\n## The `C` heading!\n"),
            ("docs/p.svg", ""),
            ("README.md", ""),
        ]);
        assert_eq!(
            dead(&tree),
            [
                "docs/a.md:3: x.md: there is no docs/x.md",
                "docs/a.md:3: b.md#y: docs/b.md has no such heading",
                "docs/a.md:7: q.md: there is no docs/q.md",
            ]
        );
    }

    #[test]
    fn the_book_lists_every_page() {
        let tree = Tree::of(&[
            (SUMMARY, "# Summary\n- [a](a.md)\n- [not yet]()\n- [r](../README.md#x)\n"),
            ("docs/a.md", "[s](SUMMARY.md) [x](../examples/README.md) [c](../a.c)"),
            ("docs/b.md", ""),
            ("README.md", ""),
            ("examples/README.md", ""),
            ("tests/other.md", ""),
        ]);
        assert_eq!(
            unlisted(&tree),
            [
                "docs/SUMMARY.md: does not list docs/b.md",
                "docs/SUMMARY.md: does not list examples/README.md",
            ]
        );
    }

    #[test]
    fn a_name_that_comes_again_has_a_number() {
        let ids: Vec<_> = headings("# X\n## A b\n```\n# no\n```\n## A b\n").collect();
        assert_eq!(ids, ["x", "a-b", "a-b-1"]);
    }
}
