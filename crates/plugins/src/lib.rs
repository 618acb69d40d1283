//! The table of all plugins, and of those of Fluent Bit that are not built.

mod absent;

pub use flb_parsers::builtin_parsers;
pub use flb_parsers::multiline::builtin_multiline;

/// What plugins have in the service section.
pub mod service {
    pub use flb_guest::service::{CACHE, SERVICE, doubtful_trust};
}

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
    use flb_plugin::Spec;

    fn is_sorted<T: Ord>(names: impl Iterator<Item = T>) -> bool {
        names.is_sorted()
    }

    #[test]
    fn every_key_has_one_row_and_a_default_that_it_takes() {
        fn mistakes<T: ?Sized>(specs: &[Spec<T>]) -> Vec<String> {
            let of = |spec: &Spec<T>| (spec.name, spec.options.mistakes());
            specs
                .iter()
                .map(of)
                .flat_map(|(name, found)| {
                    found.into_iter().map(move |one| format!("{name}: {one}"))
                })
                .collect()
        }
        let found = [
            mistakes(REGISTRY.inputs),
            mistakes(REGISTRY.filters),
            mistakes(REGISTRY.outputs),
            mistakes(REGISTRY.parsers),
            mistakes(REGISTRY.multiline),
        ];
        assert_eq!(found.concat(), [""; 0]);
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
