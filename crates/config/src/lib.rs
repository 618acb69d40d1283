//! Configuration text to one document with spans, and diagnostics that show where and what to do.
//!
//! Reads files only through [`Files`] and the environment only through [`Variables`]; never panics
//! on any input.

mod classic;
mod diagnostic;
mod document;
mod files;
pub mod value;
mod variables;

pub use classic::{FileKind, read_classic};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, did_you_mean};
pub use document::{Document, Property, Section, SectionKind, Source, SourceId, Span, Spanned};
pub use files::{Disk, Files, Memory};
pub use variables::{Expanded, Unreadable, Variables};
