//! Configuration text to one document with spans, and diagnostics that show where and what to do.
//!
//! Reads files only through [`Files`] and the environment only through [`Variables`]; never panics
//! on any input.

mod classic;
mod diagnostic;
mod document;
mod files;
pub mod keys;
mod limits;
mod secrecy;
pub mod value;
mod variables;
mod yaml;

pub use classic::{FileKind, read_classic};
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use document::{
    Document, Property, Role, Section, SectionKind, Source, SourceId, Span, Spanned,
};
pub use files::{Disk, Files, Memory, folders_of};
pub use flb_text::did_you_mean;
pub use secrecy::{MASK, Secrecy, is_secret_name, is_variable, masked};
pub use variables::{Expanded, Unreadable, Variables};
pub use yaml::{is_yaml, read_yaml};

use std::path::Path;

/// Reads a file in the format that its name says: YAML for `.yaml` and `.yml`, else classic.
pub fn read_file(
    document: &mut Document,
    path: &Path,
    kind: FileKind,
    files: &dyn Files,
) -> Diagnostics {
    let read = if is_yaml(path) { read_yaml } else { read_classic };
    read(document, path, kind, files)
}
