//! From WebAssembly to an artifact: check, read the interface, rewrite, generate code, pack.
//!
//! Bytes in, bytes out: no files, no clock; a guest never runs here.

mod codegen;
mod error;
mod interface;
mod passes;
mod places;
mod signals;

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flb_artifact::{Architecture, ArtifactBuilder, Interruption, Levels, SliceCode, Target};

pub use error::CompileError;
pub use flb_engine::names::split_place;
pub use passes::host_pages::{EXPORT_MEMORY, EXPORT_PAGES};
pub use passes::stops::{EXPORT_FLAG, EXPORT_SPIN, EXPORT_START, EXPORT_STOP};
pub use places::places;

/// Name and version of the engine that the code is for.
pub const ENGINE: (&str, &str) = (flb_engine::NAME, flb_engine::VERSION);

/// What to compile for, and how.
#[derive(Debug, Clone)]
pub struct CompileOptions {
    /// One slice each, in this order, but portable ones last: a loader takes the first of equally good ones.
    pub targets: Vec<Target>,
    /// How hard to work for speed and size.
    pub levels: Levels,
    /// Whether the artifact shall hold the module itself, so that it can be compiled again for another host.
    pub embed_wasm: bool,
    /// Name and version of the program that compiles, for the artifact's metadata.
    pub producer: String,
    /// How many targets to compile at a time; with more than one, functions are compiled on all CPUs as well. The
    /// result is the same for any number.
    pub jobs: usize,
}

/// Whether these levels ask for slices to be stored compressed.
pub fn compress(levels: Levels) -> bool {
    levels.size_level >= 3
}

/// Compiles modules with one set of options.
#[derive(Debug, Clone)]
pub struct Compiler {
    options: CompileOptions,
    interruption: Interruption,
}

impl Compiler {
    /// A compiler with these options.
    pub fn new(options: CompileOptions) -> Self {
        Self { options, interruption: Interruption::default() }
    }

    /// Chooses how guests are ended that run too long. Where that cannot be by signals, it is by epochs, and the artifact
    /// says why.
    pub fn interrupted_by(self, interruption: Interruption) -> Self {
        Self { interruption, ..self }
    }

    /// Compiles one module; returns the artifact file's bytes. The same input and options give the same bytes.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        let mut module = interface::read(wasm)?;
        let mut whole = Cow::Borrowed(wasm);
        if module.imports_more {
            whole = Cow::Owned(passes::own::run(wasm)?);
            module = interface::read(&whole)?;
        }
        let named = passes::sections::run(&whole)?;
        let (paged, arguments) = passes::host_pages::run(&named, &module)?;
        let rewritten = passes::run(paged, self.options.levels)?;
        let interface = module.interface(arguments);
        let mut artifact = ArtifactBuilder::new(&self.options.producer, wasm, interface);
        for slice in self.slices(&rewritten)? {
            artifact = artifact.slice(slice);
        }
        Ok(artifact.build(self.options.embed_wasm.then_some(wasm)))
    }

    /// Code for every target, on as many threads as there are jobs.
    fn slices(&self, wasm: &[u8]) -> Result<Vec<SliceCode>, CompileError> {
        let mut targets: Vec<&Target> = self.options.targets.iter().collect();
        targets.sort_by_key(|target| target.is_portable());
        let jobs = self.options.jobs.min(targets.len());
        if jobs <= 1 {
            return targets.into_iter().map(|target| self.slice(wasm, target)).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(target) = targets.get(index) else { return done };
                done.push((index, self.slice(wasm, target)));
            }
        };
        let mut done = thread::scope(|scope| {
            let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            let joined = workers.into_iter().map(|worker| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            });
            joined.flatten().collect::<Vec<_>>()
        });
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, slice)| slice).collect()
    }

    fn slice(&self, wasm: &[u8], target: &Target) -> Result<SliceCode, CompileError> {
        let CompileOptions { levels, jobs, .. } = self.options;
        interface::check_features(wasm, target.architecture)?;
        let (interruption, no_signals) = self.interruption(wasm, target)?;
        let engine = flb_engine::settings(target.architecture, interruption);
        let mut wasm = Cow::Borrowed(wasm);
        if interruption == Interruption::Signal {
            wasm = Cow::Owned(passes::stops::run(&wasm)?);
        }
        if target.architecture == Architecture::Riscv64 {
            wasm = Cow::Owned(passes::copy_length::run(&wasm)?);
        }
        let code = codegen::generate(&wasm, target, levels, &engine, jobs > 1)?;
        let compress = compress(levels);
        let target = target.clone();
        Ok(SliceCode { target, options: levels, engine, no_signals, code, compress })
    }

    /// How guests are ended that run too long, and why not by signals, if these were asked for.
    fn interruption(
        &self,
        wasm: &[u8],
        target: &Target,
    ) -> Result<(Interruption, Option<String>), CompileError> {
        match self.interruption {
            Interruption::Signal => Ok(match signals::obstacle(wasm, target)? {
                Some(reason) => (Interruption::Epoch, Some(reason)),
                None => (Interruption::Signal, None),
            }),
            other => Ok((other, None)),
        }
    }
}
