//! What must hold of places, whatever the module and its debug information.

/// Any bytes taken as a module with debug information.
pub(crate) fn check_places(data: &[u8]) {
    for (index, place) in flb_compiler::places(data) {
        let (path, line) = place.rsplit_once(':').expect("a place is a file and a line");
        assert!(
            path.chars().count() <= 120 && !path.chars().any(char::is_control),
            "{index}: {place:?}"
        );
        assert!(
            !line.is_empty() && line.bytes().all(|digit| digit.is_ascii_digit()),
            "{index}: {place:?}"
        );
    }
}
