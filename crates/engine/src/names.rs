//! What functions are called in compiled code: their names, and behind them where they begin in their sources.

/// Stands between a function's name and its place.
const AT: &str = " at ";

/// The name of a function that begins at this place, such as `src/lib.rs:12`.
pub fn with_place(name: &str, place: &str) -> String {
    format!("{name}{AT}{place}")
}

/// A function's own name, and the place if the name holds one.
pub fn split_place(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(AT) {
        Some((name, place)) if is_place(place) => (name, Some(place)),
        _ => (name, None),
    }
}

/// Whether this is a file and a line.
fn is_place(text: &str) -> bool {
    let line = text.rsplit_once(':').map(|(_, line)| line);
    line.is_some_and(|line| !line.is_empty() && line.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_its_place_are_told_apart() {
        let name = with_place("decide at noon", "src/a b.rs:12");
        assert_eq!(split_place(&name), ("decide at noon", Some("src/a b.rs:12")));
        for name in ["decide", "at", "look at this", "look at line:", "look at a:1x"] {
            assert_eq!(split_place(name), (name, None));
        }
    }
}
