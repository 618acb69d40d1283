//! The functions of the C library as modules import them.

/// Names and types.
pub(crate) const FUNCTIONS: &[(&str, &str, &str)] = &[
    ("printf", "i32 i32", "i32"),
    ("sprintf", "i32 i32 i32", "i32"),
    ("snprintf", "i32 i32 i32 i32", "i32"),
    ("vprintf", "i32 i32", "i32"),
    ("vsprintf", "i32 i32 i32", "i32"),
    ("vsnprintf", "i32 i32 i32 i32", "i32"),
    ("puts", "i32", "i32"),
    ("putchar", "i32", "i32"),
    ("memcmp", "i32 i32 i32", "i32"),
    ("memcpy", "i32 i32 i32", "i32"),
    ("memmove", "i32 i32 i32", "i32"),
    ("memset", "i32 i32 i32", "i32"),
    ("memchr", "i32 i32 i32", "i32"),
    ("emscripten_memcpy_big", "i32 i32 i32", "i32"),
    ("strlen", "i32", "i32"),
    ("strchr", "i32 i32", "i32"),
    ("strcmp", "i32 i32", "i32"),
    ("strncmp", "i32 i32 i32", "i32"),
    ("strncasecmp", "i32 i32 i32", "i32"),
    ("strcpy", "i32 i32", "i32"),
    ("strncpy", "i32 i32 i32", "i32"),
    ("strspn", "i32 i32", "i32"),
    ("strcspn", "i32 i32", "i32"),
    ("strstr", "i32 i32", "i32"),
    ("malloc", "i32", "i32"),
    ("calloc", "i32 i32", "i32"),
    ("realloc", "i32 i32", "i32"),
    ("free", "i32", ""),
    ("strdup", "i32", "i32"),
    ("_strdup", "i32", "i32"),
    ("atoi", "i32", "i32"),
    ("strtol", "i32 i32 i32", "i32"),
    ("strtoul", "i32 i32 i32", "i32"),
    ("isupper", "i32", "i32"),
    ("isalpha", "i32", "i32"),
    ("isspace", "i32", "i32"),
    ("isgraph", "i32", "i32"),
    ("isprint", "i32", "i32"),
    ("isdigit", "i32", "i32"),
    ("isxdigit", "i32", "i32"),
    ("isalnum", "i32", "i32"),
    ("tolower", "i32", "i32"),
    ("toupper", "i32", "i32"),
    ("exit", "i32", ""),
    ("abortStackOverflow", "i32", ""),
    ("nullFunc_X", "i32", ""),
    ("__cxa_allocate_exception", "i32", "i32"),
    ("__cxa_begin_catch", "i32", ""),
    ("__cxa_throw", "i32 i32 i32", ""),
    ("clock_gettime", "i32 i32", "i32"),
    ("clock", "", "i64"),
    ("abort", "", ""),
];

/// Imports of all of them, each under its name.
pub(crate) fn imports() -> String {
    let import = |(name, params, result): &(&str, &str, &str)| {
        format!(r#"(import "env" "{name}" (func ${name} (param {params}) (result {result})))"#)
    };
    FUNCTIONS.iter().map(import).collect::<Vec<_>>().join("\n")
}
