//! What of a module's start the code generator has to make by code or to lay out in the artifact: tables and memories with
//! what they hold, and globals.

use std::collections::BTreeMap;

use wasmparser::{
    ConstExpr, DataKind, ElementItems, ElementKind, Operator, Payload, TableInit, TypeRef,
};

use crate::CompileError;

/// Entries of a table that can be laid out; what lies behind is set by code.
const LAID_OUT: u64 = 1 << 20;
/// Most entries of all tables that are laid out.
const ENTRIES: u64 = 4 << 20;
/// Most elements and computed values that are set by code.
const BY_CODE: u64 = 65_536;
/// Most globals.
const GLOBALS: u64 = 50_000;
/// Most types.
const TYPES: u64 = 100_000;
/// Memory up to this is laid out, however little of it is not zero.
const SPARSE: u64 = 16 << 20;
/// Most bytes of all memories that are laid out: what any module may have, and twice its size.
const IMAGES: u64 = 64 << 20;

/// What is counted, section by section.
#[derive(Debug, Default)]
pub(crate) struct StartUp {
    types: u64,
    globals: u64,
    by_code: u64,
    /// Of each table that is laid out, the end of what it holds.
    tables: BTreeMap<u32, u64>,
    imported_tables: u32,
    /// Of each memory that is laid out, the first byte, the end, and how many bytes there are.
    memories: BTreeMap<u32, (u64, u64, u64)>,
}

impl StartUp {
    /// Counts what a section of a valid module says.
    pub(crate) fn add(&mut self, payload: &Payload<'_>) -> Result<(), wasmparser::Error> {
        match payload {
            Payload::TypeSection(section) => self.types += u64::from(section.count()),
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    match import?.ty {
                        TypeRef::Table(_) => self.imported_tables += 1,
                        TypeRef::Global(_) => self.globals += 1,
                        _ => {}
                    }
                }
            }
            Payload::TableSection(section) => {
                for (index, table) in (self.imported_tables..).zip(section.clone()) {
                    let table = table?;
                    if matches!(table.init, TableInit::Expr(_)) && table.ty.initial <= LAID_OUT {
                        self.tables.insert(index, table.ty.initial);
                    }
                }
            }
            Payload::GlobalSection(section) => {
                self.globals += u64::from(section.count());
                for global in section.clone() {
                    self.by_code += computed(&global?.init_expr)?;
                }
            }
            Payload::ElementSection(section) => {
                for element in section.clone() {
                    self.add_elements(&element?)?;
                }
            }
            Payload::DataSection(section) => {
                for data in section.clone() {
                    self.add_data(&data?)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_elements(&mut self, element: &wasmparser::Element<'_>) -> Result<(), wasmparser::Error> {
        let (count, listed) = match &element.items {
            ElementItems::Functions(functions) => (u64::from(functions.count()), true),
            ElementItems::Expressions(_, expressions) => (u64::from(expressions.count()), false),
        };
        match &element.kind {
            ElementKind::Declared => {}
            ElementKind::Passive => self.by_code += count,
            ElementKind::Active { table_index, offset_expr } => {
                let end = constant(offset_expr)?.map(|offset| offset.saturating_add(count));
                match end.filter(|end| listed && *end <= LAID_OUT) {
                    Some(end) => {
                        let table = self.tables.entry(table_index.unwrap_or(0)).or_default();
                        *table = end.max(*table);
                    }
                    None => self.by_code += count,
                }
            }
        }
        Ok(())
    }

    fn add_data(&mut self, data: &wasmparser::Data<'_>) -> Result<(), wasmparser::Error> {
        let length = data.data.len() as u64;
        if let DataKind::Active { memory_index, offset_expr } = &data.kind
            && let Some(offset) = constant(offset_expr)?
            && length > 0
        {
            let memory = self.memories.entry(*memory_index).or_insert((u64::MAX, 0, 0));
            let end = offset.saturating_add(length);
            *memory = (memory.0.min(offset), memory.1.max(end), memory.2 + length);
        }
        Ok(())
    }

    /// Refuses what goes past a limit, in a module of this size.
    pub(crate) fn check(&self, size: u64) -> Result<(), CompileError> {
        let images = self.memories.values().map(|(first, end, bytes)| {
            let extent = end - first;
            if extent < bytes.saturating_mul(2).max(SPARSE) { extent } else { 0 }
        });
        for (what, found, limit, help) in [
            ("the number of types", self.types, TYPES, "give it fewer types"),
            ("the number of globals", self.globals, GLOBALS, "give it fewer globals"),
            (
                "the number of table elements and values that are set by code when it starts (those of passive segments, \
                 behind entry 1,048,576, or not constant)",
                self.by_code,
                BY_CODE,
                "give it smaller tables, filled from active segments of functions",
            ),
            (
                "the number of entries in tables",
                self.tables.values().sum(),
                ENTRIES,
                "give it fewer or smaller tables",
            ),
            (
                "the number of bytes from the first to the last that its memories start with",
                images.fold(0, u64::saturating_add),
                IMAGES.saturating_add(size.saturating_mul(2)),
                "give it fewer memories",
            ),
        ] {
            if found > limit {
                return Err(CompileError::limit(what.to_owned(), found, limit, help));
            }
        }
        Ok(())
    }
}

/// The value of an expression that is one constant.
fn constant(expression: &ConstExpr<'_>) -> Result<Option<u64>, wasmparser::Error> {
    let mut operators = expression.get_operators_reader();
    let value = match operators.read()? {
        Operator::I32Const { value } => u64::from(value.cast_unsigned()),
        Operator::I64Const { value } => value.cast_unsigned(),
        _ => return Ok(None),
    };
    Ok(matches!(operators.read()?, Operator::End).then_some(value))
}

/// How many instructions an expression has, if it is not one constant.
fn computed(expression: &ConstExpr<'_>) -> Result<u64, wasmparser::Error> {
    let mut operators = expression.get_operators_reader();
    let mut count = 0;
    while !operators.eof() {
        operators.read()?;
        count += 1;
    }
    Ok(if count > 2 { count } else { 0 })
}

#[cfg(test)]
mod tests {
    use wasmparser::Parser;

    use super::*;

    /// What is wrong with a module that has this and a filter; `$` stands for the function's number.
    fn refusal(text: &str) -> String {
        let wasm = wat::parse_str(format!(r#"(module {text} (func $f (export "f")))"#)).unwrap();
        let mut start_up = StartUp::default();
        for payload in Parser::new(0).parse_all(&wasm) {
            start_up.add(&payload.unwrap()).unwrap();
        }
        start_up.check(wasm.len() as u64).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn check(text: &str, words: &str) {
        let found = refusal(text);
        assert!(found.contains(words) && found.is_empty() == words.is_empty(), "{found}");
    }

    #[test]
    fn elements_that_are_set_by_code_are_bounded() {
        let many = |count: usize| "$f ".repeat(count);
        check(&format!("(table 70000 funcref) (elem (i32.const 0) func {})", many(70_000)), "");
        let by_code = "set by code when it starts";
        let far =
            format!("(table 1048577 funcref) (elem (i32.const 978577) func {})", many(70_000));
        check(&far, by_code);
        check(&format!("(elem func {})", many(70_000)), by_code);
        check(&format!("(elem declare func {})", many(70_000)), "");
        let expressions = "(ref.null func) ".repeat(70_000);
        check(
            &format!("(table 70000 funcref) (elem (i32.const 0) funcref {expressions})"),
            by_code,
        );
        let added = "(global i32 (i32.add (i32.const 1) (i32.const 2))) ".repeat(20_000);
        check(&added, by_code);
        check(&"(global i32 (i32.const 1)) ".repeat(20_000), "");
    }

    #[test]
    fn tables_that_are_laid_out_are_bounded_together() {
        let far = |tables: u32| {
            let table = |n| {
                format!("(table 1048576 funcref) (elem (table {n}) (i32.const 1048575) func $f) ")
            };
            (0..tables).map(table).collect::<String>()
        };
        check(&far(4), "");
        check(&far(5), "the number of entries in tables is 5242880, and the limit is 4194304");
        check(&"(table 1048576 (ref func) (ref.func $f)) ".repeat(5), "entries in tables");
        check(&"(table 10000000 funcref) ".repeat(5), "");
    }

    #[test]
    fn memories_that_are_laid_out_are_bounded_together() {
        let sparse = |memories: u32, at: u32| {
            let memory = |n| {
                format!(
                    r#"(memory 1000) (data (memory {n}) (i32.const 0) "x") (data (memory {n}) (i32.const {at}) "x") "#
                )
            };
            (0..memories).map(memory).collect::<String>()
        };
        check(&sparse(4, 16_000_000), "");
        check(&sparse(5, 16_000_000), "from the first to the last that its memories start with");
        // Too sparse to be laid out.
        check(&sparse(5, 60_000_000), "");
    }

    #[test]
    fn globals_and_types_are_bounded() {
        check(&"(global i32 (i32.const 1)) ".repeat(50_001), "the number of globals is 50001");
        let ty = |n: u32| {
            let bits = (0..17).map(|bit| if n >> bit & 1 == 1 { "i32 " } else { "i64 " });
            format!("(type (func (param {})))", bits.collect::<String>())
        };
        let types: String = (0..100_000).map(ty).collect();
        check(&types, "the number of types is 100001");
    }
}
