//! From WebAssembly to an artifact: check, read the interface, rewrite, generate code, pack.
//!
//! Bytes in, bytes out: no files, no clock; a guest never runs here.

mod codegen;
mod error;
mod interface;
mod passes;

use flb_artifact::{ArtifactBuilder, Levels, SliceCode, Target};

pub use error::CompileError;
pub use passes::host_pages::{EXPORT_LIMIT, EXPORT_MEMORY, EXPORT_PAGES};

/// Name and version of the engine that the code is for.
pub const ENGINE: (&str, &str) = (flb_engine::NAME, flb_engine::VERSION);

/// What to compile for, and how.
#[derive(Debug, Clone)]
pub struct CompileOptions {
    /// One slice each, in this order.
    pub targets: Vec<Target>,
    /// How hard to work for speed and size.
    pub levels: Levels,
    /// Whether the artifact shall hold the module itself, so that it can be compiled again for another host.
    pub embed_wasm: bool,
    /// Name and version of the program that compiles, for the artifact's metadata.
    pub producer: String,
}

/// Compiles modules with one set of options.
#[derive(Debug, Clone)]
pub struct Compiler {
    options: CompileOptions,
}

impl Compiler {
    /// A compiler with these options.
    pub fn new(options: CompileOptions) -> Self {
        Self { options }
    }

    /// Compiles one module; returns the artifact file's bytes. The same input and options give the same bytes.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        let module = interface::read(wasm)?;
        let (rewritten, arguments) = passes::host_pages::run(wasm, &module)?;
        let mut artifact =
            ArtifactBuilder::new(&self.options.producer, wasm, module.interface(arguments));
        for target in &self.options.targets {
            let engine = flb_engine::settings(target.architecture);
            let code = codegen::generate(&rewritten, target, self.options.levels, &engine)?;
            artifact = artifact.slice(SliceCode {
                target: target.clone(),
                options: self.options.levels,
                engine,
                code,
                compress: self.options.levels.size_level == 3,
            });
        }
        Ok(artifact.build(self.options.embed_wasm.then_some(wasm)))
    }
}
