//! The library's functions: a row for each, with its type.

use flb_artifact::ValueType;

use super::{Answer, Done};
use super::{ctype, memory, number, print, process, strings};
use crate::Signature;
use crate::fault::Fault;
use crate::machine::{Call, Linker, provide};

/// The module name that functions are imported from.
pub(crate) const ENV: &str = "env";

/// A function by what it takes and gives: so many `i32`, for an `i32`.
#[derive(Clone, Copy)]
pub(crate) enum Code {
    One(fn(&mut Call<'_>, u32) -> Answer),
    Two(fn(&mut Call<'_>, u32, u32) -> Answer),
    Three(fn(&mut Call<'_>, u32, u32, u32) -> Answer),
    Four(fn(&mut Call<'_>, u32, u32, u32, u32) -> Answer),
    /// None, for nothing.
    Do(fn(&mut Call<'_>) -> Done),
    /// One, for nothing.
    DoOne(fn(&mut Call<'_>, u32) -> Done),
    /// Three, for nothing.
    DoThree(fn(&mut Call<'_>, u32, u32, u32) -> Done),
    /// None, for an `i64`.
    Long(fn(&mut Call<'_>) -> Result<u64, Fault>),
}

use Code::{Do, DoOne, DoThree, Four, Long, One, Three, Two};

/// All functions. One name may have several types.
pub(super) const FUNCTIONS: &[(&str, Code)] = &[
    // Printing.
    ("printf", Two(print::printf)),
    ("sprintf", Three(print::sprintf)),
    ("snprintf", Four(print::snprintf)),
    ("vprintf", Two(print::printf)),
    ("vsprintf", Three(print::sprintf)),
    ("vsnprintf", Four(print::snprintf)),
    ("puts", One(print::puts)),
    ("putchar", One(print::putchar)),
    // Memory.
    ("memcmp", Three(memory::memcmp)),
    ("memcpy", Three(memory::memmove)),
    ("memmove", Three(memory::memmove)),
    ("memset", Three(memory::memset)),
    ("memchr", Three(memory::memchr)),
    ("emscripten_memcpy_big", Three(memory::memmove)),
    // Texts.
    ("strlen", One(strings::strlen)),
    ("strchr", Two(strings::strchr)),
    ("strcmp", Two(strings::strcmp)),
    ("strncmp", Three(strings::strncmp)),
    ("strncasecmp", Three(strings::strncasecmp)),
    ("strcpy", Two(strings::strcpy)),
    ("strncpy", Three(strings::strncpy)),
    ("strspn", Two(strings::strspn)),
    ("strcspn", Two(strings::strcspn)),
    ("strstr", Two(strings::strstr)),
    // The heap.
    ("malloc", One(process::malloc)),
    ("calloc", Two(process::calloc)),
    ("realloc", Two(process::realloc)),
    ("free", DoOne(process::free)),
    ("strdup", One(process::strdup)),
    ("_strdup", One(process::strdup)),
    // Numbers.
    ("atoi", One(number::atoi)),
    ("strtol", Three(number::strtol)),
    ("strtoul", Three(number::strtoul)),
    // Characters.
    ("isupper", One(|_, c| ctype::is(c, u8::is_ascii_uppercase))),
    ("isalpha", One(|_, c| ctype::is(c, u8::is_ascii_alphabetic))),
    ("isspace", One(|_, c| ctype::is(c, ctype::is_space))),
    ("isgraph", One(|_, c| ctype::is(c, u8::is_ascii_graphic))),
    ("isprint", One(|_, c| ctype::is(c, ctype::is_print))),
    ("isdigit", One(|_, c| ctype::is(c, u8::is_ascii_digit))),
    ("isxdigit", One(|_, c| ctype::is(c, u8::is_ascii_hexdigit))),
    ("isalnum", One(|_, c| ctype::is(c, u8::is_ascii_alphanumeric))),
    ("tolower", One(|_, c| ctype::map(c, u8::to_ascii_lowercase))),
    ("toupper", One(|_, c| ctype::map(c, u8::to_ascii_uppercase))),
    // Ends.
    ("exit", DoOne(process::exit)),
    ("abort", Do(|_| process::end("abort", 0))),
    ("abort", DoOne(|_, code| process::end("abort", code))),
    ("abortStackOverflow", DoOne(|_, code| process::end("abortStackOverflow", code))),
    ("nullFunc_X", DoOne(|_, code| process::end("nullFunc_X", code))),
    // C++.
    ("__cxa_allocate_exception", One(process::malloc)),
    ("__cxa_begin_catch", DoOne(|_, _| Ok(()))),
    ("__cxa_throw", DoThree(|_, _, _, _| process::throw())),
    // Time.
    ("clock_gettime", Two(|call, _, time| process::clock_gettime(call, time))),
    ("clock", Long(process::clock)),
];

impl Code {
    /// The function's type.
    pub(super) fn signature(&self) -> Signature {
        let (parameters, result) = match self {
            Do(_) => (0, None),
            DoOne(_) => (1, None),
            DoThree(_) => (3, None),
            Long(_) => (0, Some(ValueType::I64)),
            One(_) => (1, Some(ValueType::I32)),
            Two(_) => (2, Some(ValueType::I32)),
            Three(_) => (3, Some(ValueType::I32)),
            Four(_) => (4, Some(ValueType::I32)),
        };
        Signature {
            params: vec![ValueType::I32; parameters],
            results: result.into_iter().collect(),
        }
    }

    /// Provides the function under a name.
    pub(crate) fn link(self, linker: &mut Linker, name: &str) {
        match self {
            Do(f) => provide!(linker, ENV, name, f),
            Long(f) => provide!(linker, ENV, name, f),
            DoOne(f) => provide!(linker, ENV, name, f, a: u32),
            DoThree(f) => provide!(linker, ENV, name, f, a: u32, b: u32, c: u32),
            One(f) => provide!(linker, ENV, name, f, a: u32),
            Two(f) => provide!(linker, ENV, name, f, a: u32, b: u32),
            Three(f) => provide!(linker, ENV, name, f, a: u32, b: u32, c: u32),
            Four(f) => provide!(linker, ENV, name, f, a: u32, b: u32, c: u32, d: u32),
        }
    }
}
