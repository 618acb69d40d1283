//! What a module may ask of the code generator, in proportion to its size.
//!
//! Most code costs the code generator what it is long. Some shapes cost the square of that: values that live across many
//! branches, calls that hand a thousand values on, loops in loops in loops, tables that are filled by code. They are
//! counted while the module is validated, before anything is made of them; a module that goes past a limit is refused by
//! the limit's name. What is merely slow to give registers to is given them in a faster, plainer way.

use wasmparser::types::Types;
use wasmparser::{
    FuncValidator, FuncValidatorAllocations, FunctionBody, Operator, OperatorsReader, Parser,
    Payload, ValidPayload, Validator, WasmModuleResources,
};

use crate::CompileError;
use crate::start_up::StartUp;

/// Most loops that may lie in each other.
const NESTED_LOOPS: u64 = 256;
/// Most loops of one function: what each costs grows with their number, most of all with epochs.
const LOOPS: u64 = 10_000;
/// Most branches of one function, for the same reason.
const BRANCHES: u64 = 100_000;
/// Values that live where code branches, counted at every branch: what any module may have,
const LIVE_VALUES: u64 = 100_000_000;
/// and more for each of its bytes.
const LIVE_VALUES_A_BYTE: u64 = 100;
/// Values that calls and branches hand on: what any module may have, and one more for each of its bytes.
const HANDED_ON: u64 = 1_000_000;
/// Registers are given out well while this sum stays below a bound: of every function, the square of its branches and of
/// what its loops carry.
const WELL_GIVEN: u64 = 50_000_000;
/// More of it for each byte.
const WELL_GIVEN_A_BYTE: u64 = 40;
/// So many blocks around a branch weigh as much as a value.
const BLOCKS_A_VALUE: u64 = 32;

/// What validating a module tells.
pub(crate) struct Validated {
    /// What the validator knows of the whole module.
    pub(crate) types: Types,
    /// Whether giving out registers well would take too long.
    pub(crate) is_intricate: bool,
}

/// Validates a module, and holds it against the limits.
pub(crate) fn validate(wasm: &[u8]) -> Result<Validated, CompileError> {
    let invalid = |error: wasmparser::Error| CompileError::invalid(&error);
    let size = wasm.len() as u64;
    let mut validator = Validator::new_with_features(flb_engine::features());
    let mut start_up = StartUp::default();
    let mut all = Effort::default();
    let mut allocations = FuncValidatorAllocations::default();
    for payload in Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(invalid)?;
        match validator.payload(&payload).map_err(invalid)? {
            ValidPayload::Func(function, body) => {
                let mut function = function.into_validator(std::mem::take(&mut allocations));
                let effort = measure(&mut function, &body).map_err(invalid)?;
                all.add(&effort);
                all.check(&format!("function {}", function.index()), size)?;
                allocations = function.into_allocations();
            }
            ValidPayload::End(types) => {
                start_up.check(size)?;
                let bound = WELL_GIVEN + WELL_GIVEN_A_BYTE * size;
                return Ok(Validated { types, is_intricate: all.squares > bound });
            }
            _ if !matches!(payload, Payload::CodeSectionEntry(_)) => {
                start_up.add(&payload).map_err(invalid)?;
            }
            _ => {}
        }
    }
    Err(CompileError::unsupported("it ends early", "copy or build it again"))
}

/// What a function costs beyond its length, or all so far.
#[derive(Debug, Default)]
struct Effort {
    live: u64,
    handed_on: u64,
    nested_loops: u64,
    /// Of a function, or of the one that has most of them.
    loops: u64,
    branches: u64,
    squares: u64,
}

impl Effort {
    fn add(&mut self, other: &Effort) {
        self.live = self.live.saturating_add(other.live);
        self.handed_on = self.handed_on.saturating_add(other.handed_on);
        self.nested_loops = self.nested_loops.max(other.nested_loops);
        self.loops = self.loops.max(other.loops);
        self.branches = self.branches.max(other.branches);
        self.squares = self.squares.saturating_add(other.squares);
    }

    /// Refuses what goes past a limit at this place.
    fn check(&self, place: &str, size: u64) -> Result<(), CompileError> {
        let within = |what, found, limit, help| match found > limit {
            true => Err(CompileError::limit(format!("up to {place}, {what}"), found, limit, help)),
            false => Ok(()),
        };
        within(
            "the number of loops in each other",
            self.nested_loops,
            NESTED_LOOPS,
            "move the inner loops to functions of their own",
        )?;
        within(
            "the number of loops in one function",
            self.loops,
            LOOPS,
            "split its largest functions",
        )?;
        within(
            "the number of branches in one function",
            self.branches,
            BRANCHES,
            "split its largest functions",
        )?;
        within(
            "the number of values that live across branches",
            self.live,
            LIVE_VALUES + LIVE_VALUES_A_BYTE * size,
            "split its largest functions, or build it with optimisation",
        )?;
        within(
            "the number of values that calls and branches hand on",
            self.handed_on,
            HANDED_ON + size,
            "give its functions and blocks fewer parameters and results",
        )
    }
}

/// Validates a function and measures it.
fn measure<R: WasmModuleResources>(
    function: &mut FuncValidator<R>,
    body: &FunctionBody<'_>,
) -> Result<Effort, wasmparser::Error> {
    let mut reader = body.get_binary_reader();
    function.read_locals(&mut reader)?;
    reader.set_features(flb_engine::features());
    let mut operators = OperatorsReader::new(reader.clone());
    let mut walk = Walk { locals: u64::from(function.len_locals()), ..Walk::default() };
    while !reader.eof() {
        walk.see(function, &operators.read()?);
        let position = reader.original_position();
        reader.visit_operator(&mut function.visitor(position))??;
    }
    reader.finish_expression(&function.visitor(reader.original_position()))?;
    let loops = walk.locals.saturating_mul(walk.effort.nested_loops);
    let root = walk.effort.branches.saturating_add(loops);
    walk.effort.squares = root.saturating_mul(root);
    Ok(walk.effort)
}

/// The way through a function's instructions.
#[derive(Debug, Default)]
struct Walk {
    locals: u64,
    /// Of every open block, whether it is a loop, and how many handlers of exceptions it adds.
    open: Vec<(bool, u64)>,
    loops: u64,
    handlers: u64,
    effort: Effort,
}

impl Walk {
    /// Counts an instruction that is about to be validated.
    fn see<R: WasmModuleResources>(
        &mut self,
        function: &FuncValidator<R>,
        operator: &Operator<'_>,
    ) {
        match operator {
            Operator::Loop { .. } => self.open(true, 0),
            Operator::Block { .. } | Operator::If { .. } => self.open(false, 0),
            Operator::TryTable { try_table } => self.open(false, try_table.catches.len() as u64),
            Operator::End => self.close(),
            _ => {}
        }
        let targets = match operator {
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::TryTable { .. }
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. } => 1,
            Operator::BrTable { targets } => u64::from(targets.len()) + 1,
            Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::Throw { .. } => self.handlers,
            Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::ReturnCallRef { .. }
            | Operator::Return => 0,
            _ => return,
        };
        let height = u64::from(function.operand_stack_height()) + self.locals;
        let depth = u64::from(function.control_stack_height()) / BLOCKS_A_VALUE;
        let (taken, left) = operator.operator_arity(function).unwrap_or_default();
        let effort = &mut self.effort;
        // The ways of a table part in one place.
        effort.live = effort.live.saturating_add(targets.min(1).saturating_mul(height + depth));
        effort.branches = effort.branches.saturating_add(targets);
        let values = u64::from(taken) + u64::from(left);
        effort.handed_on = effort.handed_on.saturating_add(values.saturating_mul(targets.max(1)));
    }

    fn open(&mut self, is_loop: bool, handlers: u64) {
        self.open.push((is_loop, handlers));
        self.loops += u64::from(is_loop);
        self.effort.loops += u64::from(is_loop);
        self.handlers += handlers;
        self.effort.nested_loops = self.effort.nested_loops.max(self.loops);
    }

    /// The last `end` is the function's own.
    fn close(&mut self) {
        let (is_loop, handlers) = self.open.pop().unwrap_or_default();
        self.loops -= u64::from(is_loop);
        self.handlers -= handlers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A filter-like module with a function of this code, in which local 0 is a number.
    fn module(code: &str) -> Vec<u8> {
        wat::parse_str(format!(
            r#"(module (func $many (param {many}) (result {many}) unreachable)
                (func $ten (result {ten}) unreachable)
                (func (export "f") (param i32) {code}))"#,
            many = "i32 ".repeat(1000),
            ten = "i32 ".repeat(10),
        ))
        .unwrap()
    }

    fn refusal(code: &str) -> String {
        validate(&module(code)).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn is_intricate(code: &str) -> bool {
        validate(&module(code)).unwrap().is_intricate
    }

    #[test]
    fn loops_lie_in_each_other_up_to_a_limit() {
        let nest = |loops| "loop ".repeat(loops) + &"end ".repeat(loops);
        assert_eq!(refusal(&nest(256)), "");
        assert_eq!(
            refusal(&nest(257)),
            "WASM module load failed: up to function 2, the number of loops in each other is 257, and the limit is 256; \
             help: move the inner loops to functions of their own"
        );
    }

    #[test]
    fn a_function_has_so_many_loops_and_branches() {
        for (code, limit, what) in
            [("loop end ", 10_000, "loops"), ("local.get 0 br_if 0 ", 100_000, "branches")]
        {
            assert_eq!(refusal(&code.repeat(limit)), "");
            let words = format!(
                "the number of {what} in one function is {}, and the limit is {limit}; help: split",
                limit + 1
            );
            let refused = refusal(&code.repeat(limit + 1));
            assert!(refused.contains(&words), "{refused}");
        }
    }

    #[test]
    fn values_live_across_branches_up_to_a_limit() {
        let code = |locals: usize, branches: usize| {
            format!("(local {}) {}", "i32 ".repeat(locals), "local.get 0 if end ".repeat(branches))
        };
        assert_eq!(refusal(&code(1_000, 20_000)), "");
        let refused = refusal(&code(10_000, 20_000));
        let words =
            "the number of values that live across branches is 200040000, and the limit is 1";
        assert!(refused.contains(words), "{refused}");
    }

    #[test]
    fn calls_and_branches_hand_values_on_up_to_a_limit() {
        let code = |calls: usize| {
            let (arguments, rest) = ("i32.const 1 ".repeat(1000), "drop ".repeat(1000));
            format!("{arguments} {} {rest}", "call $many ".repeat(calls))
        };
        assert_eq!(refusal(&code(400)), "");
        let refused = refusal(&code(600));
        let words = "the number of values that calls and branches hand on is 1200000, and the";
        assert!(refused.contains(words), "{refused}");
    }

    #[test]
    fn the_ways_of_a_table_and_the_handlers_around_a_call_count_each() {
        let table = |ways: usize| format!("block local.get 0 br_table {} end", "0 ".repeat(ways));
        assert!(is_intricate(&table(9_000)));
        assert!(!is_intricate(&table(3_000)));
        let handlers = "block $b try_table (catch_all $b) ".repeat(100);
        let call = format!("call $ten {}", "drop ".repeat(10));
        let code = format!("{handlers} {} {}", call.repeat(100), "end end ".repeat(100));
        assert!(is_intricate(&code));
        assert!(!is_intricate(&code.replace("try_table (catch_all $b)", "block")));
    }

    #[test]
    fn many_branches_or_much_that_loops_carry_is_intricate() {
        let branches = |count: usize| "local.get 0 if end ".repeat(count);
        assert!(!is_intricate(&branches(3_000)));
        assert!(is_intricate(&branches(10_000)));
        let carried =
            |locals: usize| format!("(local {}) loop loop end end", "i32 ".repeat(locals));
        assert!(!is_intricate(&carried(1_000)));
        assert!(is_intricate(&carried(10_000)));
    }
}
