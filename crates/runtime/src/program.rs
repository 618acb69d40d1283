//! A program for WASI: a module that runs from its start to its end, in a fresh instance each time, while what it writes to
//! its stdout is kept.

use std::sync::Arc;
use std::time::Duration;

use flb_artifact::{Export, Interface, Required, ValueType};

use crate::capture::Capture;
use crate::failure::failure;
use crate::fault::Ended;
use crate::machine::Machine;
use crate::ready::Ready;
use crate::state::State;
use crate::{FilterEngine, FilterError, LoadError, Sandbox};

/// What a program is allowed.
#[derive(Debug, Clone)]
pub struct ProgramOptions {
    /// Longest time for one run.
    pub deadline: Duration,
    /// Most bytes that its memory may grow to.
    pub memory_limit: u64,
    /// Most bytes that it may write to its stdout in one run.
    pub output_limit: usize,
    /// Which program an artifact must be, by its signer's word.
    pub required: Option<Required>,
    /// What it may see and use of the host. Of its output, only stderr goes there.
    pub sandbox: Sandbox,
}

/// A program, compiled and ready to run. Cheap to clone; clones share the code.
#[derive(Clone)]
pub struct Program {
    shared: Arc<Shared>,
}

struct Shared {
    ready: Ready,
    start: Export,
    options: ProgramOptions,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// What one run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramRun {
    /// What the program wrote, also before it failed.
    pub stdout: Vec<u8>,
    /// Its exit code, 0 if it just returned; or how it failed.
    pub ended: Result<i32, FilterError>,
    /// A file that it asked for and that the sandbox does not grant.
    pub denied: Option<String>,
}

impl Program {
    /// Loads a file's bytes, be they WebAssembly or an artifact, whatever the file was called.
    pub fn load(
        engine: &FilterEngine,
        bytes: Vec<u8>,
        options: ProgramOptions,
    ) -> Result<Self, LoadError> {
        let ready = Ready::load(engine, bytes, options.required.as_ref())?;
        let start = start(ready.interface())?.clone();
        Ok(Self { shared: Arc::new(Shared { ready, start, options }) })
    }

    /// Imports that nobody provides; calling one traps.
    pub fn unknown_imports(&self) -> &[String] {
        &self.shared.ready.unknown_imports
    }

    /// What had to be done to load the module, for the log.
    pub fn notes(&self) -> &[String] {
        &self.shared.ready.notes
    }

    /// Runs the program from its start to its end; blocks until then. The error is that it could not be started.
    pub fn run(&self) -> Result<ProgramRun, LoadError> {
        let Shared { ready, options, .. } = &*self.shared;
        let capture = Capture::new(options.output_limit);
        let state = State::with_capture(
            ready.memories(),
            options.memory_limit,
            &options.sandbox,
            capture.clone(),
            ready.leash(options.deadline, None),
        )?;
        let mut machine = ready.machine(state);
        let ended = ready.instantiate(&mut machine, options.memory_limit);
        let ended = ended.and_then(|()| self.start(&mut machine));
        if let Some(missing) = machine.state().bounds.missing() {
            ready.make_room(missing);
            return self.run();
        }
        let ended = ended.map_err(|ended| failure(ended, machine.state()));
        let denied = machine.state_mut().take_denied();
        // What holds the other end of the program's output goes first.
        drop(machine);
        let (stdout, full) = capture.into_bytes();
        let ended = match ended {
            _ if full => Err(FilterError::BadOutput {
                reason: format!("it wrote more than {} bytes to its stdout", options.output_limit),
            }),
            Err(FilterError::Exit { code, .. }) => Ok(code),
            ended => ended,
        };
        Ok(ProgramRun { stdout, ended, denied })
    }

    /// Without arguments: argc and argv are zero.
    fn start(&self, machine: &mut Machine) -> Result<i32, Ended> {
        let Export { name, params, results } = &self.shared.start;
        let function = match (params.is_empty(), results.is_empty()) {
            (true, true) => {
                machine.function(name).map(|start| machine.call(&start, ()).map(|()| 0))
            }
            (true, false) => machine.function(name).map(|start| machine.call(&start, ())),
            (false, true) => {
                machine.function(name).map(|start| machine.call(&start, (0, 0)).map(|()| 0))
            }
            (false, false) => machine.function(name).map(|start| machine.call(&start, (0, 0))),
        };
        function.unwrap_or_else(|| Err(Ended::said(format!("{name} is gone"))))
    }
}

/// Where the program starts: WASI's name for it, or else a main function as compilers spell it.
fn start(interface: &Interface) -> Result<&Export, LoadError> {
    let all_i32 = |types: &[ValueType]| types.iter().all(|ty| *ty == ValueType::I32);
    let startable = |export: &&Export| {
        let Export { params, results, .. } = export;
        matches!(params.len(), 0 | 2) && results.len() <= 1 && all_i32(params) && all_i32(results)
    };
    ["_start", "main", "__main_argc_argv", "_main"]
        .iter()
        .find_map(|name| interface.exports.iter().find(|export| export.name == *name))
        .filter(startable)
        .ok_or_else(|| LoadError::StartMissing {
            exports: interface.exports.iter().map(|export| export.name.clone()).collect(),
        })
}
