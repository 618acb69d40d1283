//! What the passes over function bodies have in common: a body as a list of instructions, taken apart and put together.

use std::convert::Infallible;

use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, CoreTypeEncoder, Function, FunctionSection, Instruction, Module,
    ValType,
};
use wasmparser::CompositeInnerType;

use crate::CompileError;

/// A function's code.
#[derive(Debug)]
pub(super) struct Body<'a> {
    /// Number of parameters, which are the first locals.
    pub(super) params: u32,
    /// Number of results.
    pub(super) results: u32,
    /// Further locals: how many of which type.
    pub(super) locals: Vec<(u32, ValType)>,
    /// The instructions, the last `end` included.
    pub(super) code: Vec<Instruction<'a>>,
}

impl Body<'_> {
    /// Adds a local and returns its index.
    pub(super) fn add_local(&mut self, ty: ValType) -> u32 {
        let index = self.params + self.locals.iter().map(|(count, _)| count).sum::<u32>();
        self.locals.push((1, ty));
        index
    }
}

/// How many parameters and results the module's function types have, by type index.
#[derive(Debug, Default)]
pub(super) struct Arities(Vec<(u32, u32)>);

impl Arities {
    /// Values that a block of this type takes and leaves.
    pub(super) fn of(&self, ty: BlockType) -> (u32, u32) {
        match ty {
            BlockType::Empty => (0, 0),
            BlockType::Result(_) => (0, 1),
            BlockType::FunctionType(index) => {
                self.0.get(index as usize).copied().unwrap_or_default()
            }
        }
    }
}

/// Copies a module with its function bodies changed by `change`, which gets them in order.
pub(super) fn rewrite_bodies<F>(wasm: &[u8], change: F) -> Result<Vec<u8>, CompileError>
where
    F: FnMut(&Arities, &mut Body<'_>),
{
    let types = Vec::new().into_iter();
    rewrite(&mut Bodies { arities: Arities::default(), types, change }, wasm)
}

/// Copies a module through a re-encoder.
pub(super) fn rewrite(
    reencoder: &mut impl Reencode<Error = Infallible>,
    wasm: &[u8],
) -> Result<Vec<u8>, CompileError> {
    let mut output = Module::new();
    reencoder.parse_core_module(&mut output, wasmparser::Parser::new(0), wasm).map_err(failed)?;
    Ok(output.finish())
}

/// A valid module that cannot be re-encoded is a mistake of ours.
pub(super) fn failed(error: Error) -> CompileError {
    CompileError::Codegen { reason: error.to_string() }
}

struct Bodies<F> {
    arities: Arities,
    /// Type indices of the functions whose bodies are yet to come.
    types: std::vec::IntoIter<u32>,
    change: F,
}

impl<F: FnMut(&Arities, &mut Body<'_>)> Reencode for Bodies<F> {
    type Error = Infallible;

    fn parse_recursive_type_group(
        &mut self,
        types: CoreTypeEncoder<'_>,
        group: wasmparser::RecGroup,
    ) -> Result<(), Error> {
        for ty in group.types() {
            self.arities.0.push(match &ty.composite_type.inner {
                // A type has at most 1,000 of either.
                CompositeInnerType::Func(ty) => {
                    (ty.params().len() as u32, ty.results().len() as u32)
                }
                _ => (0, 0),
            });
        }
        utils::parse_recursive_type_group(self, types, group)
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        let types: Vec<u32> = section.clone().into_iter().collect::<Result<_, _>>()?;
        self.types = types.into_iter();
        utils::parse_function_section(self, functions, section)
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<(), Error> {
        let ty = self.types.next().unwrap_or_default();
        let (params, results) = self.arities.of(BlockType::FunctionType(ty));
        let mut parsed = Body { params, results, locals: Vec::new(), code: Vec::new() };
        for locals in body.get_locals_reader()? {
            let (count, ty) = locals?;
            parsed.locals.push((count, self.val_type(ty)?));
        }
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            parsed.code.push(self.parse_instruction(&mut reader)?);
        }
        (self.change)(&self.arities, &mut parsed);
        let mut function = Function::new(parsed.locals);
        for instruction in &parsed.code {
            function.instruction(instruction);
        }
        code.function(&function);
        Ok(())
    }
}
