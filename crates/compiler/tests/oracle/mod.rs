//! What must hold of places, whatever the module and its debug information.

use flb_compiler::Places;

/// Any bytes taken as a module with debug information.
pub(crate) fn check_places(data: &[u8]) {
    let places = Places::read(data);
    for number in places.instructions.into_iter().flatten().flatten() {
        assert!(places.sources.place(number).is_some(), "{number}: no line has this number");
    }
    for (index, place) in places.functions {
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
