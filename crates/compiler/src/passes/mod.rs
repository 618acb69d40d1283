//! Wasm-to-wasm passes, one file each, and which of them run.
//!
//! | pass | runs at | what for |
//! |---|---|---|
//! | `sections` | always, first | custom sections but `name` are of no use from here on |
//! | `lines` | where the module has debug information, before all others | which line each instruction is from |
//! | `own` | where a module imports more than functions, before all others | one guest, one memory: it is its own |
//! | `host_pages` | always, second | room for records that no allocator of the guest can reach |
//! | `dead_code` | size level 2 and more | less to compile, less to store |
//! | `br_table` | opt level 2 and more | processors predict compares better than indirect jumps |
//! | `unroll` | opt level 3 | fewer jumps, moves and looks at the deadline |
//! | `stops` | where signals interrupt, after all others | places at which a guest ends that runs too long |
//! | `copy_length` | RISC-V, last | the code generator fails without it |
//! | `frames` | portable code, last | the interpreter does not say which functions were running |

mod br_table;
pub(crate) mod copy_length;
mod dead_code;
pub(crate) mod frames;
mod functions;
pub(crate) mod host_pages;
pub(crate) mod lines;
mod names;
pub(crate) mod own;
pub(crate) mod sections;
mod skeleton;
pub(crate) mod stops;
mod unroll;

use flb_artifact::Levels;
use wasmparser::Validator;

use crate::CompileError;

/// A pass that the levels choose.
struct Pass {
    name: &'static str,
    run: fn(&[u8]) -> Result<Vec<u8>, CompileError>,
    wanted: fn(Levels) -> bool,
}

/// In the order in which they run: what is dropped need not be improved.
const PASSES: [Pass; 3] = [
    Pass { name: "dead_code", run: dead_code::run, wanted: |levels| levels.size_level >= 2 },
    Pass { name: "br_table", run: br_table::run, wanted: |levels| levels.opt_level >= 2 },
    Pass { name: "unroll", run: unroll::run, wanted: |levels| levels.opt_level >= 3 },
];

/// Rewrites the module as the levels say. A pass that takes it past a limit of WebAssembly is left out, which the notes say.
pub(crate) fn run(
    mut wasm: Vec<u8>,
    levels: Levels,
    notes: &mut Vec<String>,
) -> Result<Vec<u8>, CompileError> {
    for pass in PASSES.iter().filter(|pass| (pass.wanted)(levels)) {
        let rewritten = (pass.run)(&wasm)?;
        match excess(&rewritten) {
            None => wasm = rewritten,
            Some(why) => notes.push(format!("pass {} is left out: with it, {why}", pass.name)),
        }
    }
    Ok(wasm)
}

/// How a rewritten module goes past a limit of WebAssembly: the module was valid, and what is added to it makes it longer.
pub(crate) fn excess(wasm: &[u8]) -> Option<String> {
    let validated = Validator::new_with_features(flb_engine::features()).validate_all(wasm);
    validated.err().map(|error| error.message().to_owned())
}

/// Refuses a module that only what must be added to it takes past a limit of WebAssembly.
pub(crate) fn must_fit(wasm: &[u8]) -> Result<(), CompileError> {
    excess(wasm).map_or(Ok(()), |why| {
        Err(CompileError::unsupported(
            format!("with the code that the compiler adds, {why}"),
            "leave some room below the limit: split its largest function, or give it fewer functions, exports or memories",
        ))
    })
}

#[cfg(test)]
pub(crate) mod testing {
    //! Rewritten modules, compared and run.

    use super::*;

    /// Panics if the module is not valid.
    pub(crate) fn validate(wasm: &[u8]) {
        let features = flb_engine::features();
        wasmparser::Validator::new_with_features(features).validate_all(wasm).unwrap();
    }

    /// The locals and instructions of every function, one a line.
    fn dump(wasm: &[u8]) -> String {
        let mut text = String::new();
        functions::rewrite_bodies(wasm, |_, body| {
            let locals = body.locals.iter().flat_map(|(count, ty)| vec![*ty; *count as usize]);
            text += &format!("function {:?}\n", locals.collect::<Vec<_>>());
            body.code.iter().for_each(|instruction| text += &format!("  {instruction:?}\n"));
        })
        .unwrap();
        text
    }

    /// Rewrites a module given as text, checks that the result is valid and that it has the same functions as `expected`.
    pub(crate) fn check(
        pass: fn(&[u8]) -> Result<Vec<u8>, CompileError>,
        text: &str,
        expected: &str,
    ) {
        let wasm = wat::parse_str(text).unwrap();
        let rewritten = pass(&wasm).unwrap();
        validate(&rewritten);
        assert_eq!(pass(&wasm).unwrap(), rewritten, "twice the same");
        let (found, expected) = (dump(&rewritten), dump(&wat::parse_str(expected).unwrap()));
        assert!(found == expected, "rewritten:\n{found}\nexpected:\n{expected}");
    }
}

#[cfg(test)]
mod tests {
    //! Each pass alone, and all of them, leave what code does as it was.

    use wasmtime::{Engine, Instance, Module, Store};

    use super::*;

    #[test]
    fn a_pass_that_goes_past_a_limit_is_left_out() {
        // As many locals as a function may have, and a table that a pass would split over one more.
        let text = format!(
            r#"(module (func (export "f") (param i32) (local {})
                block block block local.get 0 br_table 0 1 2 0 1 2 0 1 2 end end end))"#,
            "i32 ".repeat(49_999)
        );
        let wasm = wat::parse_str(text).unwrap();
        let mut notes = Vec::new();
        let rewritten = run(wasm.clone(), Levels { opt_level: 2, size_level: 3 }, &mut notes);
        assert_eq!(rewritten.unwrap(), wasm);
        let expected = "pass br_table is left out: with it, too many locals: locals exceed maximum";
        assert_eq!(notes, [expected]);
    }

    #[test]
    fn what_must_be_added_and_does_not_fit_is_refused_by_the_limits_name() {
        let wasm = wat::parse_str(format!("(module {})", "(memory 1)".repeat(101))).unwrap();
        let error = must_fit(&wasm).unwrap_err().to_string();
        let words =
            "with the code that the compiler adds, memories count exceeds limit of 100; help";
        assert!(error.contains(words), "{error}");
    }

    type Rewrite = fn(&[u8]) -> Result<Vec<u8>, CompileError>;

    const ALONE: [(&str, Rewrite); 8] = [
        ("none", |wasm| Ok(wasm.to_vec())),
        ("sections", |wasm| sections::run(wasm, Default::default())),
        ("dead_code", dead_code::run),
        ("br_table", br_table::run),
        ("unroll", unroll::run),
        ("stops", stops::run),
        ("copy_length", copy_length::run),
        ("frames", frames::run),
    ];

    /// Calls a filter without imports, with tag and record in a page added for them; returns its answers' texts.
    fn call_filter(wasm: &[u8], function: &str, records: &[String]) -> Vec<String> {
        let engine = Engine::default();
        let module = Module::new(&engine, wasm).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let memory = instance.get_memory(&mut store, "memory").unwrap();
        let at = u32::try_from(memory.grow(&mut store, 1).unwrap() << 16).unwrap();
        type Filter = wasmtime::TypedFunc<(u32, u32, u32, u32, u32, u32), u32>;
        let filter: Filter = instance.get_typed_func(&mut store, function).unwrap();
        let call = |record: &String| {
            let bytes = format!("tag\0{record}\0");
            memory.write(&mut store, at as usize, bytes.as_bytes()).unwrap();
            let arguments = (at, 3, 1_700_000_000, 5, at + 4, record.len() as u32);
            let answer = filter.call(&mut store, arguments).unwrap();
            let rest = &memory.data(&store)[answer as usize..];
            std::ffi::CStr::from_bytes_until_nul(rest).unwrap().to_str().unwrap().to_owned()
        };
        records.iter().map(call).collect()
    }

    fn check_filter(wasm: &[u8], function: &str) {
        let records = [
            "{}".to_owned(),
            r#"{"log":"GET / HTTP/1.1\" 200 \\ \u00e9","n":[1,-2.5e3,true,null],"o":{"p":"q"}}"#
                .to_owned(),
            format!(r#"{{"text":"{}","level":"error"}}"#, "lorem ipsum \\n ".repeat(50)),
        ];
        let expected = call_filter(wasm, function, &records);
        assert!(expected.iter().all(|answer| answer.starts_with('{')), "{expected:?}");
        for (name, pass) in ALONE {
            let rewritten = pass(wasm).unwrap();
            testing::validate(&rewritten);
            assert_eq!(call_filter(&rewritten, function, &records), expected, "{name}");
        }
    }

    #[test]
    fn each_pass_alone_leaves_the_example_filters_as_they_were() {
        let c = include_bytes!("../../../../examples/filters/c-enrich.wasm");
        check_filter(c, "c_filter");
        let rust = include_bytes!("../../../../examples/filters/rust-enrich.wasm");
        check_filter(rust, "rust_filter");
        let redact = include_bytes!("../../../../examples/filters/rust-redact.wasm");
        check_filter(redact, "rust_redact");
        let sha256 = include_bytes!("../../../../examples/filters/c-sha256.wasm");
        check_filter(sha256, "c_sha256");
        let sha256 = include_bytes!("../../../../examples/filters/rust-sha256.wasm");
        check_filter(sha256, "rust_sha256");
        let zig = include_bytes!("../../../../examples/filters/zig-enrich.wasm");
        check_filter(zig, "zig_filter");
    }

    /// Calls `f` with every number below 300, and with some that are huge.
    fn numbers(wasm: &[u8]) -> Vec<String> {
        let engine = Engine::default();
        let module = Module::new(&engine, wasm).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let f = instance.get_typed_func::<u32, u64>(&mut store, "f").unwrap();
        let inputs = (0..300).chain([0x7fff_ffff, 0x8000_0000, u32::MAX]);
        inputs
            .map(|input| match f.call(&mut store, input) {
                Ok(answer) => answer.to_string(),
                Err(error) => error.downcast::<wasmtime::Trap>().unwrap().to_string(),
            })
            .collect()
    }

    fn check_numbers(body: &str) {
        let text = format!(
            r#"(module (memory 1) (data (i32.const 7) "some data")
                (func $unused (result i64) (call $used (i64.const 1)))
                (func $used (param i64) (result i64) (i64.mul (local.get 0) (i64.const 3)))
                (func (export "f") (param i32) (result i64) (local $sum i64) (local $i i32)
                    {body}
                    (call $used (local.get $sum))))"#
        );
        let wasm = wat::parse_str(text).unwrap();
        let expected = numbers(&wasm);
        for (name, pass) in ALONE {
            let rewritten = pass(&wasm).unwrap();
            testing::validate(&rewritten);
            assert_eq!(numbers(&rewritten), expected, "{name}");
        }
    }

    #[test]
    fn each_pass_alone_leaves_tables_of_every_shape_as_they_were() {
        let tables = [
            "0 0 0 0 0",
            "0 1 2 3 4",
            "4 4 4 4 0",
            "0 1 1 1 1 1 1 1 1 2 3 0",
            "4 4 4 4 4 4 4 4 0 1 0 4",
            "0 1 2 2 2 2 2 2 2 2 3 1 1 1 1 1 1 1 1 1 4",
            "3 3 3 1 1 1 2 2 2 2 0",
            "1 0 1 0 1 0 1 0 1 0 2",
        ];
        for table in tables {
            let arm = |n: u64| {
                format!(
                    "(local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 5)) (i64.const {n})))"
                )
            };
            check_numbers(&format!(
                "(block (block (block (block (block (br_table {table} (local.get 0))) {}) {}) {}) {})",
                arm(1),
                arm(2),
                arm(3),
                arm(4)
            ));
        }
    }

    #[test]
    fn each_pass_alone_leaves_loops_as_they_were() {
        let step = "(local.set $i (i32.add (local.get $i) (i32.const 1)))
            (local.set $sum (i64.add (i64.mul (local.get $sum) (i64.const 31))
                (i64.load8_u (local.get $i))))";
        // At the end, at the start, in the middle, out of two blocks, with a table, with a value, with a trap.
        for body in [
            format!("(loop $l {step} (br_if $l (i32.lt_u (local.get $i) (local.get 0))))"),
            format!(
                "(block $b (loop $l (br_if $b (i32.ge_u (local.get $i) (local.get 0))) {step} (br $l)))"
            ),
            format!(
                "(block $a (block $b (loop $l (br_if $b (i32.ge_u (local.get $i) (local.get 0))) {step}
                    (if (i32.eq (i32.rem_u (local.get $i) (i32.const 7)) (i32.const 3)) (then {step} (br $l)))
                    (if (i32.eq (local.get $i) (i32.const 111)) (then (br $a))) {step} (br $l))
                ) {step})"
            ),
            format!(
                "(block $a (block $b (loop $l {step}
                    (block $in (br_table $in $l $b $a $l $in (i32.and (local.get $i) (local.get 0)))) {step}
                    (br_if $l (i32.lt_u (local.get $i) (local.get 0))))))"
            ),
            format!(
                "(local.set $sum (loop $l (result i64) {step}
                    (br_if $l (i32.lt_u (local.get $i) (local.get 0)))
                    (i64.extend_i32_u (local.get $i))))"
            ),
            format!(
                "(loop $l {step} (drop (i32.div_u (i32.const 1) (i32.sub (i32.const 250) (local.get $i))))
                    (br_if $l (i32.lt_u (local.get $i) (local.get 0))))"
            ),
            format!("(loop $l {step} (if (i32.lt_u (local.get $i) (local.get 0)) (then (br $l)) (else (return (i64.const 5)))))"),
        ] {
            check_numbers(&format!(
                "(if (i32.gt_u (local.get 0) (i32.const 1000)) (then (return (i64.const 9)))) {body}"
            ));
        }
    }
}
