//! Whether a module speaks the batch ABI: its marker, and what has to stand beside it.

use crate::contract::{BATCH, BATCH_MARKER, BATCH_START};
use crate::{Export, Interface, ValueType};

/// Why a module's marker of the batch ABI means nothing here. Messages say what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Only a marker of a version that is not known here.
    #[error(
        "it exports '{marker}', a version of the batch ABI that is not known here; help: use a newer release, or build \
         the filter for '{BATCH}'"
    )]
    Later {
        /// The marker.
        marker: String,
    },
    /// More than one marker.
    #[error("it exports '{}' and '{}'; help: a module speaks one version of the batch ABI", markers[0], markers[1])]
    Several {
        /// Two of them.
        markers: [String; 2],
    },
    /// The marker, or the function that starts the filter, has another type.
    #[error(
        "it exports '{name}' with another type than {wanted}; help: take it from the header or library for filters"
    )]
    Type {
        /// The export.
        name: &'static str,
        /// The type that it must have.
        wanted: &'static str,
    },
    /// The marker, and no function of the type that it is about.
    #[error(
        "it exports '{BATCH}', but no function (batch: i32) -> i32 that could be the filter; help: export it beside the marker"
    )]
    NoFunction,
}

impl Interface {
    /// Whether the module has the marker of the batch ABI; or what is wrong with it.
    pub fn speaks_batch(&self) -> Result<bool, BatchError> {
        speaks_batch(&self.exports)
    }
}

/// Exports with the type of a filter of the batch ABI that are something else.
const OTHERS: [&str; 3] = [BATCH_START, "malloc", "__pin"];

/// Whether a function can be the filter of a module that speaks the batch ABI.
pub fn is_batch_function(export: &Export) -> bool {
    is(export, &[ValueType::I32], &[ValueType::I32]) && !OTHERS.contains(&export.name.as_str())
}

/// Whether there is the marker of the batch ABI among a module's exports; or what is wrong with it.
pub fn speaks_batch(exports: &[Export]) -> Result<bool, BatchError> {
    let mut markers = exports.iter().filter(|export| is_marker(&export.name));
    let marker = match (markers.next(), markers.next()) {
        (None, _) => return Ok(false),
        (Some(marker), None) => marker,
        (Some(one), Some(other)) => {
            return Err(BatchError::Several { markers: [one.name.clone(), other.name.clone()] });
        }
    };
    if marker.name != BATCH {
        return Err(BatchError::Later { marker: marker.name.clone() });
    }
    if !is(marker, &[], &[]) {
        return Err(BatchError::Type { name: BATCH, wanted: "() -> ()" });
    }
    let start = exports.iter().find(|export| export.name == BATCH_START);
    if start.is_some_and(|start| !is(start, &[ValueType::I32], &[ValueType::I32])) {
        return Err(BatchError::Type { name: BATCH_START, wanted: "(start: i32) -> i32" });
    }
    let has_filter = exports.iter().any(is_batch_function);
    if has_filter || exports.iter().any(is_program) {
        Ok(has_filter)
    } else {
        Err(BatchError::NoFunction)
    }
}

/// Whether it is where a program starts: SDKs bring their marker to programs, too, which have no filter.
fn is_program(export: &Export) -> bool {
    export.name == "_start" && is(export, &[], &[])
}

fn is_marker(name: &str) -> bool {
    let version = name.strip_prefix(BATCH_MARKER);
    version.is_some_and(|version| {
        !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn is(export: &Export, params: &[ValueType], results: &[ValueType]) -> bool {
    export.params == params && export.results == results
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exports by name and type: the number of `i32` that go in and come out.
    #[track_caller]
    fn check(exports: &[(&str, usize, usize)], expected: Result<bool, &str>) {
        let export = |&(name, params, results): &(&str, usize, usize)| Export {
            name: name.to_owned(),
            params: vec![ValueType::I32; params],
            results: vec![ValueType::I32; results],
        };
        let exports: Vec<Export> = exports.iter().map(export).collect();
        match (speaks_batch(&exports), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{error}");
                assert!(error.to_string().contains("help: "), "{error}");
            }
            (found, _) => panic!("{found:?}"),
        }
    }

    #[test]
    fn a_marker_makes_a_filter_of_the_batch_abi() {
        check(&[("f", 6, 1)], Ok(false));
        check(&[("f", 1, 1)], Ok(false));
        check(&[("flb_batch_1", 0, 0), ("f", 1, 1)], Ok(true));
        check(&[("g", 6, 1), ("f", 1, 1), ("flb_start", 1, 1), ("flb_batch_1", 0, 0)], Ok(true));
        check(&[("flb_batch_", 0, 0), ("flb_batch_x1", 3, 0), ("f", 1, 1)], Ok(false));
    }

    #[test]
    fn a_program_may_have_the_marker_and_no_filter() {
        let program = [("flb_batch_1", 0, 0), ("_start", 0, 0), ("f", 1, 1)];
        check(&program, Ok(true));
        check(&program[..2], Ok(false));
        check(&[("flb_batch_1", 0, 0), ("_start", 1, 0)], Err("no function (batch: i32) -> i32"));
    }

    #[test]
    fn a_marker_that_cannot_be_understood_is_refused() {
        let two = [("flb_batch_1", 0, 0), ("flb_batch_2", 0, 0), ("f", 1, 1)];
        check(&two, Err("it exports 'flb_batch_1' and 'flb_batch_2'"));
        check(&two[1..], Err("it exports 'flb_batch_2', a version"));
        check(&[("flb_batch_1", 1, 0), ("f", 1, 1)], Err("another type than () -> ()"));
        let start = [("flb_batch_1", 0, 0), ("flb_start", 2, 1), ("f", 1, 1)];
        check(&start, Err("'flb_start' with another type than (start: i32) -> i32"));
        check(&[("flb_batch_1", 0, 0), ("f", 6, 1)], Err("no function (batch: i32) -> i32"));
        let no_filter = [("flb_batch_1", 0, 0), ("malloc", 1, 1), ("flb_start", 1, 1)];
        check(&no_filter, Err("no function (batch: i32) -> i32"));
    }
}
