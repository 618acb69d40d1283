//! JSON text to msgpack and back, as Fluent Bit converts them.
//!
//! Both directions work in one pass from bytes to bytes; no tree stands between. Where Fluent Bit would print text
//! that no JSON parser accepts, [`write()`] prints JSON:
//!
//! | value | Fluent Bit prints | we print |
//! |---|---|---|
//! | NaN, infinities | `nan`, `-nan`, `inf`, `-inf` | `null` |
//! | extension | `"\x01\xffffff80"` | `"\\x01\\x80"` |
//! | key that is a number, nil, bool | `{1:2}` | `{"1":2}` |
//! | key that is a container | `{[1,"a"]:2}` | `{"[1, \"a\"]":2}`, the key as [`text`](crate::text) |
//! | code point above U+FFFF, on ARM | `\u1f600` | `\ud83d\ude00` |
//!
//! And [`parse()`] reads one value, where Fluent Bit would go on with the next: two objects in one text used to break
//! the chunk they came into.

mod block;
mod error;
mod escape;
mod float;
mod options;
mod parse;
mod repeated;
mod write;

pub use error::{JsonError, Reason};
pub use options::JsonOptions;
pub use parse::{Kind, Parsed, Sent, parse, parse_again, parse_object};
pub use write::{Member, Printer, write};
