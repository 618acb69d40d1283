//! Drops the functions that nothing can reach.
//!
//! Alive are exported functions, the start function, whatever tables, globals and element segments of any kind refer to,
//! all imports, and what alive functions call or take a reference of. Everything else stays, data too.
//!
//! Functions get new numbers. One without a name is then named after its number in the module as it was, because that is
//! what the author of a filter can look up when it traps.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{
    CodeSection, ElementSection, ExportSection, FunctionSection, GlobalSection, Module, NameMap,
    NameSection, SectionId, TableSection,
};
use wasmparser::{FunctionBody, KnownCustom, Name, Payload};

use super::functions::{failed, rewrite};
use crate::CompileError;

/// Rewrites the module.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let graph = Graph::read(wasm).map_err(failed)?;
    let alive = graph.alive();
    if alive.iter().all(|alive| *alive) {
        return Ok(wasm.to_vec());
    }
    rewrite(&mut Renumber::new(alive, graph), wasm)
}

/// Who refers to whom.
#[derive(Debug, Default)]
struct Graph {
    /// Imported functions, which have the first indices.
    imports: usize,
    /// What is referred to from outside of function bodies.
    roots: BTreeSet<u32>,
    /// What each body refers to.
    bodies: Vec<BTreeSet<u32>>,
    /// What functions are called.
    names: BTreeMap<u32, String>,
}

impl Graph {
    fn read(wasm: &[u8]) -> Result<Self, Error<Infallible>> {
        let mut graph = Self::default();
        let mut seen = Seen::default();
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let ty = import?.ty;
                        graph.imports += usize::from(matches!(
                            ty,
                            wasmparser::TypeRef::Func(_) | wasmparser::TypeRef::FuncExact(_)
                        ));
                    }
                }
                Payload::TableSection(section) => {
                    seen.parse_table_section(&mut TableSection::new(), section)?;
                }
                Payload::GlobalSection(section) => {
                    seen.parse_global_section(&mut GlobalSection::new(), section)?;
                }
                Payload::ExportSection(section) => {
                    seen.parse_export_section(&mut ExportSection::new(), section)?;
                }
                Payload::StartSection { func, .. } => {
                    seen.start_section(func)?;
                }
                Payload::ElementSection(section) => {
                    seen.parse_element_section(&mut ElementSection::new(), section)?;
                }
                Payload::CodeSectionEntry(body) => {
                    let mut body_seen = Seen::default();
                    body_seen.parse_function_body(&mut CodeSection::new(), body)?;
                    graph.bodies.push(body_seen.functions);
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(names) = section.as_known() {
                        graph.add_names(names)?;
                    }
                }
                _ => {}
            }
        }
        graph.roots = seen.functions;
        Ok(graph)
    }

    fn add_names(&mut self, names: wasmparser::NameSectionReader<'_>) -> Result<(), Error> {
        for subsection in names {
            if let Name::Function(map) = subsection? {
                for name in map {
                    let name = name?;
                    self.names.insert(name.index, name.name.to_owned());
                }
            }
        }
        Ok(())
    }

    /// For every function, imported ones first, whether anything can reach it.
    fn alive(&self) -> Vec<bool> {
        let mut alive = vec![false; self.imports + self.bodies.len()];
        alive[..self.imports].fill(true);
        let mut work: Vec<u32> = self.roots.iter().copied().collect();
        while let Some(function) = work.pop() {
            let function = function as usize;
            if function >= self.imports && !std::mem::replace(&mut alive[function], true) {
                work.extend(&self.bodies[function - self.imports]);
            }
        }
        alive
    }
}

/// Notes every function that the re-encoder meets.
#[derive(Debug, Default)]
struct Seen {
    functions: BTreeSet<u32>,
}

impl Reencode for Seen {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        self.functions.insert(function);
        Ok(function)
    }
}

/// Copies a module without its dead functions.
struct Renumber {
    imports: usize,
    /// The new index of every function that stays.
    places: Vec<Option<u32>>,
    names: NameMap,
}

impl Renumber {
    fn new(alive: Vec<bool>, graph: Graph) -> Self {
        let mut next = 0..;
        let places: Vec<Option<u32>> =
            alive.into_iter().map(|alive| if alive { next.next() } else { None }).collect();
        let mut names = NameMap::new();
        for (old, place) in (0..).zip(&places) {
            match (place, graph.names.get(&old)) {
                (Some(place), Some(name)) => names.append(*place, name),
                (Some(place), None) if *place != old => {
                    names.append(*place, &format!("function {old}"));
                }
                _ => {}
            }
        }
        Self { imports: graph.imports, places, names }
    }

    fn place(&self, function: u32) -> Option<u32> {
        self.places.get(function as usize).copied().flatten()
    }

    /// Those of the module's own functions that stay, of all in order.
    fn kept<T>(&self, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        all.zip(&self.places[self.imports..])
            .filter_map(|(one, place)| place.is_some().then_some(one))
    }
}

impl Reencode for Renumber {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        Ok(self.place(function).expect("what stays refers to nothing that goes"))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        for ty in self.kept(section.into_iter()) {
            functions.function(ty?);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Result<(), Error> {
        let kept: Vec<Result<FunctionBody<'_>, _>> = self.kept(section.into_iter()).collect();
        kept.into_iter().try_for_each(|body| self.parse_function_body(code, body?))
    }

    /// The names are written anew, at the end.
    fn parse_custom_section(
        &mut self,
        output: &mut Module,
        section: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error> {
        if section.name() != "name" {
            output.section(&self.custom_section(section)?);
        }
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        output: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Error> {
        if before.is_none() && !self.names.is_empty() {
            let mut names = NameSection::new();
            names.functions(&self.names);
            output.section(&names);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::passes::testing::check;

    #[test]
    fn what_only_dead_functions_call_goes_with_them() {
        check(
            super::run,
            r#"(module
                (import "env" "a" (func $a)) (import "env" "unused" (func $unused))
                (func $dead call $deeper call $alive)
                (func $alive call $a)
                (func $deeper call $dead)
                (func $f (export "f") call $alive return_call $alive))"#,
            r#"(module
                (import "env" "a" (func $a)) (import "env" "unused" (func $unused))
                (func $alive call $a)
                (func $f (export "f") call $alive return_call $alive))"#,
        );
    }

    #[test]
    fn whatever_is_referred_to_stays() {
        let module = |dead: &str| {
            format!(
                r#"(module
                {dead}
                (table 1 funcref (ref.func $in_table))
                (table $t 4 funcref)
                (global funcref (ref.func $in_global))
                (func $in_table) (func $in_global) (func $in_active) (func $in_passive) (func $in_expressions)
                (func $in_declared) (func $taken) (func $start)
                (start $start)
                (elem (table $t) (i32.const 0) func $in_active)
                (elem func $in_passive)
                (elem funcref (ref.func $in_expressions) (ref.null func))
                (elem declare func $in_declared $taken)
                (func (export "f") ref.func $taken drop)
                (data (i32.const 0) "kept") (data "kept") (memory 1))"#
            )
        };
        check(super::run, &module("(func $dead)"), &module(""));
    }

    #[test]
    fn names_follow_their_functions_and_numbers_become_names() {
        let rewritten = |text: &str| super::run(&wat::parse_str(text).unwrap()).unwrap();
        assert_eq!(
            rewritten(
                r#"(module (import "a" "b" (func)) (func $dead) (func $alive (export "f") call 3) (func))"#
            ),
            rewritten(
                r#"(module (import "a" "b" (func)) (func $alive (export "f") call 2)
                    (func (@name "function 3")))"#
            ),
        );
    }

    #[test]
    fn a_name_of_no_function_is_no_trouble() {
        // The name section names function 9, which there is not.
        let wasm = wat::parse_str(
            r#"(module (func) (func (export "f")) (@custom "name" "\01\07\02\00\01a\09\01b"))"#,
        );
        super::run(&wasm.unwrap()).unwrap();
    }

    #[test]
    fn nothing_dead_nothing_changed() {
        let wasm = wat::parse_str(r#"(module (func (export "f")) (@custom "x" "y"))"#).unwrap();
        assert_eq!(super::run(&wasm).unwrap(), wasm);
    }
}
