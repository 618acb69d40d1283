//! The table of all plugins, and of those of Fluent Bit that are not built.

mod absent;

pub use flb_parsers::builtin_parsers;
pub use flb_parsers::multiline::builtin_multiline;

/// Every plugin.
pub static REGISTRY: flb_plugin::Registry = flb_plugin::Registry {
    inputs: flb_inputs::ALL,
    filters: flb_filters::ALL,
    outputs: flb_outputs::ALL,
    parsers: flb_parsers::ALL,
    multiline: flb_parsers::multiline::ALL,
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
