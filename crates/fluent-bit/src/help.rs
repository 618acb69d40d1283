//! The table of properties as the agent reads it, for `fluent-bit -F aot -h`: an array of `struct flb_config_map`.
//!
//! The last row stands for every other key, so that the agent leaves it to the plugin to refuse one: the plugin knows what was
//! meant.

use std::ffi::CString;

use flb_plugin::keys::{self, Shape};

use crate::properties;

/// What stands at the beginning of a row, in words of eight bytes: type, name, default, flags, an offset that is not used, help.
type Row = [usize; 6];

/// `FLB_CONFIG_MAP_STR_PREFIX`
const PREFIX: usize = 1;
/// `FLB_CONFIG_MAP_MULT`
const REPEATED: usize = 1;

/// The table, with rows of so many bytes. It holds addresses of texts that stay.
pub(crate) fn config_map(size: usize) -> Vec<usize> {
    let others = [
        PREFIX,
        text(""),
        0,
        0,
        0,
        text("Any other property is refused, with the one that was meant"),
    ];
    let rows = properties::ALL.rows().map(row).chain([others, Row::default()]);
    let mut table = Vec::new();
    for row in rows {
        let end = table.len() + size / size_of::<usize>();
        table.extend(row);
        table.resize(end, 0);
    }
    table
}

fn row(row: &keys::Row) -> Row {
    let (kind, name) = match row.name.strip_suffix('*') {
        Some(beginning) => (PREFIX, beginning),
        None => (kind(row.shape), row.name),
    };
    let flags = if row.is_repeated { REPEATED } else { 0 };
    [kind, text(name), row.default.map_or(0, text), flags, 0, text(&row.help())]
}

/// What the agent calls it: `FLB_CONFIG_MAP_STR` and so on.
fn kind(shape: Shape) -> usize {
    match shape {
        Shape::Text | Shape::Choice(_) => 0,
        Shape::Int => 2,
        Shape::Bool => 3,
        Shape::Double => 4,
        Shape::Size => 5,
        Shape::Time => 6,
        Shape::List => 30,
        Shape::Words => 40,
    }
}

/// The address of a text that is there from now on, ended by a NUL.
fn text(text: &str) -> usize {
    let bytes = text.bytes().filter(|byte| *byte != 0).collect::<Vec<_>>();
    CString::new(bytes).map_or(0, |text| text.into_raw().expose_provenance())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stands_every_so_many_bytes() {
        for size in [96, 104] {
            let table = config_map(size);
            let rows: Vec<&[usize]> = table.chunks(size / 8).collect();
            assert_eq!(rows.len(), properties::ALL.rows().count() + 2);
            assert!(rows.iter().rev().skip(1).all(|row| row[1] != 0 && row[5] != 0));
            assert!(rows[rows.len() - 1].iter().all(|word| *word == 0));
        }
    }
}
