//! What a Rust file names: its imports and the paths in its code, without those of its tests.

use std::collections::BTreeMap;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A path as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Named {
    /// The modules inside the file that it is written in.
    pub(super) within: Vec<String>,
    pub(super) parts: Vec<String>,
}

/// All that a file names.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// What a `use` brings in, by the name that it has here.
    pub(super) imports: BTreeMap<String, Named>,
    /// The paths in code, and the modules that everything is taken from.
    pub(super) paths: Vec<Named>,
    /// Modules in files of their own that are there for tests alone.
    pub(super) tests: Vec<String>,
}

impl Uses {
    /// What a text names that is Rust; other text names nothing.
    pub(super) fn of(text: &str) -> Self {
        let mut uses = Self::default();
        uses.read(text.parse().unwrap_or_default(), &[]);
        uses
    }

    fn read(&mut self, tokens: TokenStream, within: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut rest = &tokens[..];
        while let [first, after @ ..] = rest {
            rest = after;
            match (first, after) {
                (TokenTree::Punct(hash), [TokenTree::Group(attribute), item @ ..])
                    if hash.as_char() == '#' && is_for_tests(attribute.stream()) =>
                {
                    rest = self.skip(item);
                }
                (TokenTree::Ident(word), [TokenTree::Ident(_), ..]) if word == "use" => {
                    let end = after.iter().position(|token| is(token, ';')).unwrap_or(after.len());
                    self.import(&after[..end], &[], within);
                    rest = &after[end..];
                }
                (
                    TokenTree::Ident(word),
                    [TokenTree::Ident(name), TokenTree::Group(body), end @ ..],
                ) if word == "mod" => {
                    self.read(body.stream(), &[within, &[name.to_string()]].concat());
                    rest = end;
                }
                (TokenTree::Group(group), _) => self.read(group.stream(), within),
                (TokenTree::Ident(word), _) => {
                    let (parts, end) = path(word.to_string(), after);
                    if parts.len() > 1 {
                        self.paths.push(Named { within: within.to_vec(), parts });
                    }
                    rest = end;
                }
                _ => {}
            }
        }
    }

    /// Passes an item, or what else an attribute may stand before.
    fn skip<'a>(&mut self, mut tokens: &'a [TokenTree]) -> &'a [TokenTree] {
        let mut has_generics = false;
        while let [first, after @ ..] = tokens {
            match (first, after) {
                (TokenTree::Ident(word), [TokenTree::Ident(name), end, ..])
                    if word == "mod" && is(end, ';') =>
                {
                    self.tests.push(name.to_string());
                }
                (TokenTree::Ident(word), _) if word == "fn" || word == "impl" => {
                    has_generics = true;
                }
                (TokenTree::Group(body), _) if body.delimiter() == Delimiter::Brace => {
                    return after;
                }
                (end, _) if is(end, ';') || is(end, ',') && !has_generics => return after,
                _ => {}
            }
            tokens = after;
        }
        tokens
    }

    /// Takes down one `use`, or the branches between its braces.
    fn import(&mut self, tokens: &[TokenTree], before: &[String], within: &[String]) {
        for branch in tokens.split(|token| is(token, ',')) {
            let mut parts = before.to_vec();
            let mut is_renamed = false;
            let mut name = None;
            for token in branch {
                match token {
                    TokenTree::Ident(word) if word == "as" => is_renamed = true,
                    TokenTree::Ident(word) if is_renamed => name = Some(word.to_string()),
                    TokenTree::Ident(word) if word == "self" && !parts.is_empty() => {}
                    TokenTree::Ident(word) => parts.push(word.to_string()),
                    TokenTree::Group(branches) => {
                        let branches: Vec<_> = branches.stream().into_iter().collect();
                        self.import(&branches, &parts, within);
                        parts.clear();
                    }
                    star if is(star, '*') => {
                        parts.push("*".to_owned());
                        self.paths.push(Named { within: within.to_vec(), parts });
                        parts = Vec::new();
                    }
                    _ => {}
                }
            }
            if let Some(last) = parts.last() {
                let name = name.unwrap_or_else(|| last.clone());
                self.imports.insert(name, Named { within: within.to_vec(), parts });
            }
        }
    }
}

/// The rest of a path that begins with this word, and what follows it.
fn path(first: String, mut rest: &[TokenTree]) -> (Vec<String>, &[TokenTree]) {
    let mut parts = vec![first];
    while let [one, other, TokenTree::Ident(word), after @ ..] = rest
        && is(one, ':')
        && is(other, ':')
    {
        parts.push(word.to_string());
        rest = after;
    }
    (parts, rest)
}

fn is(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

/// Whether an attribute leaves its item to builds of tests.
fn is_for_tests(attribute: TokenStream) -> bool {
    let text = attribute.to_string();
    let mut words = text.split(|sign: char| !sign.is_alphanumeric() && sign != '_');
    words.next() == Some("cfg")
        && words.clone().any(|word| word == "test")
        && words.all(|word| word != "not")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected_imports: &[(&str, &str)], expected_paths: &[&str]) {
        let uses = Uses::of(text);
        let written = |named: &Named| {
            let within = named.within.iter().map(|module| format!("[{module}]"));
            format!("{}{}", within.collect::<String>(), named.parts.join("::"))
        };
        let imports: Vec<_> =
            uses.imports.iter().map(|(name, named)| (name.clone(), written(named))).collect();
        let expected_imports: Vec<_> = expected_imports
            .iter()
            .map(|&(name, path)| (name.to_owned(), path.to_owned()))
            .collect();
        assert_eq!(imports, expected_imports);
        assert_eq!(uses.paths.iter().map(written).collect::<Vec<_>>(), expected_paths);
    }

    #[test]
    fn imports_are_read_by_their_names() {
        check(
            "use crate::a::{self, B, c::{D as E}}; pub(crate) use super::f; use crate::g::*;",
            &[("B", "crate::a::B"), ("E", "crate::a::c::D"), ("a", "crate::a"), ("f", "super::f")],
            &["crate::g::*"],
        );
    }

    #[test]
    fn paths_are_found_in_code_and_in_macros() {
        check(
            "fn f(a: crate::b::C) { println!(\"{}\", d::e()); F::G }",
            &[],
            &["crate::b::C", "d::e", "F::G"],
        );
    }

    #[test]
    fn a_path_knows_the_module_around_it() {
        check("mod a { mod b { fn c() { super::d::e() } } }", &[], &["[a][b]super::d::e"]);
    }

    #[test]
    fn comments_and_texts_name_nothing() {
        check("// a::b\n/// c::d\nconst E: &str = \"f::g\";", &[], &[]);
    }

    #[test]
    fn what_is_for_tests_is_left_out() {
        let text =
            "#[cfg(test)] mod tests { a::b!(); } #[cfg(all(test, unix))] fn c<D, E>() { f::g() }
            #[cfg(test)] mod testing; struct S { #[cfg(test)] h: i::J, k: l::M }
            #[cfg(not(test))] fn n() { o::p() }";
        check(text, &[], &["l::M", "o::p"]);
        assert_eq!(Uses::of(text).tests, ["testing"]);
    }
}
