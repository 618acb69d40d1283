//! From WebAssembly to an artifact: check, read the interface, rewrite, generate code, pack.
//!
//! Bytes in, bytes out: no files, no clock; a guest never runs here.

mod codegen;
mod error;
mod interface;
mod limits;
mod passes;
mod places;
mod signals;
mod start_up;

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use flb_artifact::{
    Architecture, ArtifactBuilder, EngineSettings, Interface, Interruption, Levels, SliceCode,
    Target, Traps,
};

pub use error::CompileError;
pub use places::Places;

/// Names and versions of the engines that the code is for.
pub const ENGINES: [(&str, &str); 2] = flb_engine::ENGINES;

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

/// What the artifact of a module would say of its interface, read without making code. Refuses what no target could be
/// compiled for.
pub fn interface(wasm: &[u8]) -> Result<Interface, CompileError> {
    let (_, module) = read(wasm)?;
    let arguments = passes::host_pages::arguments(&module)?;
    Ok(module.interface(arguments))
}

/// A module with what it imports beside functions as its own, and what is to be known of it.
fn read(wasm: &[u8]) -> Result<(Cow<'_, [u8]>, interface::ModuleInfo), CompileError> {
    let module = interface::read(wasm)?;
    if !module.imports_more {
        return Ok((Cow::Borrowed(wasm), module));
    }
    let whole = passes::own::run(wasm)?;
    let module = interface::read(&whole)?;
    Ok((Cow::Owned(whole), module))
}

/// Compiles modules with one set of options.
#[derive(Debug, Clone)]
pub struct Compiler {
    options: CompileOptions,
    interruption: Interruption,
    traps: Traps,
}

impl Compiler {
    /// A compiler with these options.
    pub fn new(options: CompileOptions) -> Self {
        Self { options, interruption: Interruption::default(), traps: Traps::default() }
    }

    /// Chooses how guests are ended that run too long. Where that cannot be by signals, it is by epochs, and the artifact
    /// says why.
    pub fn interrupted_by(self, interruption: Interruption) -> Self {
        Self { interruption, ..self }
    }

    /// Chooses how traps are raised. Where they are explicit nothing is by signals, so calls are ended by epochs instead.
    pub fn trapping(self, traps: Traps) -> Self {
        Self { traps, ..self }
    }

    /// Compiles one module; returns the artifact file's bytes. The same input and options give the same bytes.
    pub fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
        self.compile_with_notes(wasm).map(|(artifact, _)| artifact)
    }

    /// The same, with what was done otherwise than the levels say, and why.
    pub fn compile_with_notes(&self, wasm: &[u8]) -> Result<(Vec<u8>, Vec<String>), CompileError> {
        let places = Places::read(wasm);
        if places.sources.is_empty() {
            return self.compile_at(wasm, places);
        }
        let functions = places.functions.clone();
        // No module is refused for its lines, which make it longer on the way.
        self.compile_at(wasm, places)
            .or_else(|_| self.compile_at(wasm, Places { functions, ..Places::default() }))
    }

    /// The same with what is known of where the code stands in its sources.
    fn compile_at(
        &self,
        wasm: &[u8],
        places: Places,
    ) -> Result<(Vec<u8>, Vec<String>), CompileError> {
        let Places { functions, sources, instructions } = places;
        let (mut whole, module) = read(wasm)?;
        if !sources.is_empty() {
            whole = Cow::Owned(passes::lines::add(&whole, &instructions)?);
        }
        let named = passes::sections::run(&whole, functions)?;
        let (paged, arguments) = passes::host_pages::run(&named, &module)?;
        let mut notes = Vec::new();
        if module.is_intricate {
            let why = "registers are given out in one pass: its functions branch or carry too much";
            notes.push(why.to_owned());
        }
        let rewritten = passes::run(paged.clone(), self.options.levels, &mut notes)?;
        let slices = match self.slices(&rewritten, module.is_intricate) {
            Err(CompileError::TooLarge { reason }) if rewritten != paged => {
                notes.push(format!("all passes are left out: with them, {reason}"));
                self.slices(&paged, module.is_intricate)
            }
            slices => slices,
        };
        let interface = module.interface(arguments);
        let artifact = ArtifactBuilder::new(&self.options.producer, wasm, interface);
        let mut artifact = artifact.sources(sources);
        for slice in slices? {
            artifact = artifact.slice(slice);
        }
        Ok((artifact.build(self.options.embed_wasm.then_some(wasm))?, notes))
    }

    /// Code for every target, on as many threads as there are jobs.
    fn slices(&self, wasm: &[u8], is_intricate: bool) -> Result<Vec<SliceCode>, CompileError> {
        let mut targets: Vec<&Target> = self.options.targets.iter().collect();
        targets.sort_by_key(|target| target.is_portable());
        let jobs = self.options.jobs.min(targets.len());
        let slice = |target: &Target| self.slice(wasm, target, is_intricate);
        if jobs <= 1 {
            return targets.into_iter().map(slice).collect();
        }
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(target) = targets.get(index) else { return done };
                done.push((index, slice(target)));
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

    fn slice(
        &self,
        wasm: &[u8],
        target: &Target,
        is_intricate: bool,
    ) -> Result<SliceCode, CompileError> {
        let levels = self.options.levels;
        interface::check_features(wasm, target)?;
        let Ended { wasm, interruption, no_signals } = self.ended(wasm, target)?;
        let engine = flb_engine::settings(target.architecture, interruption, self.traps);
        let code = if target.is_portable() {
            passes::frames::run(&wasm)?
        } else {
            self.native(wasm, target, &engine, is_intricate)?
        };
        let compress = compress(levels);
        let target = target.clone();
        Ok(SliceCode { target, options: levels, engine, no_signals, code, compress })
    }

    /// Native code for one target.
    fn native(
        &self,
        mut wasm: Cow<'_, [u8]>,
        target: &Target,
        engine: &EngineSettings,
        is_intricate: bool,
    ) -> Result<Vec<u8>, CompileError> {
        if target.architecture == Architecture::Riscv64 {
            wasm = Cow::Owned(passes::copy_length::run(&wasm)?);
            passes::must_fit(&wasm)?;
        }
        let how = codegen::How { parallel: self.options.jobs > 1, is_intricate };
        codegen::generate(&wasm, target, self.options.levels, engine, how)
    }

    /// The module with the places at which its guests are ended, by signals only where nothing stands in the way.
    fn ended<'a>(&self, wasm: &'a [u8], target: &Target) -> Result<Ended<'a>, CompileError> {
        let as_it_is = |interruption, no_signals| Ended {
            wasm: Cow::Borrowed(wasm),
            interruption,
            no_signals,
        };
        match (self.interruption, self.traps) {
            (Interruption::Signal, Traps::Signal) => {}
            (Interruption::Signal, Traps::Explicit) => {
                return Ok(as_it_is(Interruption::Epoch, None));
            }
            (other, _) => return Ok(as_it_is(other, None)),
        }
        if let Some(obstacle) = signals::obstacle(wasm, target)? {
            return Ok(as_it_is(Interruption::Epoch, Some(obstacle)));
        }
        let stopped = passes::stops::run(wasm)?;
        Ok(match passes::excess(&stopped) {
            None => Ended {
                wasm: Cow::Owned(stopped),
                interruption: Interruption::Signal,
                no_signals: None,
            },
            Some(why) => {
                let why = format!("it has no room for what signals need: {why}");
                as_it_is(Interruption::Epoch, Some(why))
            }
        })
    }
}

/// A module as its guests are ended that run too long.
struct Ended<'a> {
    wasm: Cow<'a, [u8]>,
    interruption: Interruption,
    /// Why it is not by signals, if these were asked for.
    no_signals: Option<String>,
}
