//! The attributes of `flb-filter`: they leave a function as it is, and export beside it what the host calls.

use proc_macro::{TokenStream, TokenTree};

/// Exports `fn name(record: &mut Record, ctx: &Context) -> Verdict` as the filter `name`.
#[proc_macro_attribute]
pub fn filter(_: TokenStream, function: TokenStream) -> TokenStream {
    let Some(name) = name(&function) else { return misplaced("filter") };
    let mut exports = format!(
        "#[unsafe(export_name = \"{name}\")]
        extern \"C\" fn flb_batch(batch: *mut ::flb_filter::abi::Batch) -> u32 {{
            unsafe {{ ::flb_filter::abi::run(batch, {name}) }}
        }}"
    );
    if cfg!(feature = "json") {
        exports += &format!(
            "#[unsafe(export_name = \"{name}_json\")]
            extern \"C\" fn flb_json(
                tag: *const u8, tag_len: usize, sec: u32, nsec: u32, record: *const u8, record_len: usize,
            ) -> *const u8 {{
                unsafe {{ ::flb_filter::classic::run((tag, tag_len), (sec, nsec), (record, record_len), {name}) }}
            }}"
        );
    }
    with(function, &exports)
}

/// Exports `fn name(start: &Start) -> Result<(), &'static str>` as what is called once, before the first record.
#[proc_macro_attribute]
pub fn start(_: TokenStream, function: TokenStream) -> TokenStream {
    let Some(name) = name(&function) else { return misplaced("start") };
    let exports = format!(
        "#[unsafe(export_name = \"flb_start\")]
        extern \"C\" fn flb_start(block: *mut ::flb_filter::abi::StartBlock) -> u32 {{
            unsafe {{ ::flb_filter::abi::start(block, {name}) }}
        }}"
    );
    with(function, &exports)
}

/// The word behind `fn`.
fn name(function: &TokenStream) -> Option<String> {
    let mut tokens = function.clone().into_iter();
    tokens.find(|token| matches!(token, TokenTree::Ident(word) if word.to_string() == "fn"))?;
    match tokens.next()? {
        TokenTree::Ident(name) => Some(name.to_string()),
        _ => None,
    }
}

/// The function, and what is exported where there is a host.
fn with(mut function: TokenStream, exports: &str) -> TokenStream {
    let block = format!("#[cfg(target_arch = \"wasm32\")] const _: () = {{ {exports} }};");
    function.extend(block.parse::<TokenStream>());
    function
}

fn misplaced(attribute: &str) -> TokenStream {
    format!("compile_error!(\"#[flb_filter::{attribute}] stands before a function\");")
        .parse()
        .unwrap_or_default()
}
