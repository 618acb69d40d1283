//! Inputs, filters, outputs and parsers: one file a plugin, one table a kind.

mod absent;
mod filters;
mod guest;
mod inputs;
mod multiline;
mod net;
mod outputs;
mod parsers;
#[cfg(test)]
mod testing;

pub use multiline::{builtin_multiline, join_lines};
pub use parsers::builtin_parsers;

/// Every plugin of this crate.
pub static REGISTRY: flb_plugin::Registry = flb_plugin::Registry {
    inputs: inputs::ALL,
    filters: filters::ALL,
    outputs: outputs::ALL,
    parsers: parsers::ALL,
    multiline: multiline::ALL,
    absent: absent::ALL,
};

#[cfg(test)]
mod tests {
    use super::REGISTRY;

    fn is_sorted<T: Ord>(names: impl Iterator<Item = T>) -> bool {
        names.is_sorted()
    }

    #[test]
    fn the_tables_are_alphabetic() {
        assert!(is_sorted(REGISTRY.inputs.iter().map(|spec| spec.name)));
        assert!(is_sorted(REGISTRY.filters.iter().map(|spec| spec.name)));
        assert!(is_sorted(REGISTRY.outputs.iter().map(|spec| spec.name)));
        assert!(is_sorted(REGISTRY.parsers.iter().map(|spec| spec.name)));
        assert!(is_sorted(REGISTRY.multiline.iter().map(|spec| spec.name)));
    }
}
