//! A document's sections, by their headings.

/// What stands under the heading, up to the next one of any level.
pub(super) fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let mut start = None;
    let mut at = 0;
    let mut in_block = false;
    for line in text.split_inclusive('\n') {
        if line.starts_with("```") {
            in_block = !in_block;
        }
        if line.starts_with('#') && !in_block {
            if let Some(start) = start {
                return Some(&text[start..at]);
            }
            if line.contains(heading) {
                start = Some(at + line.len());
            }
        }
        at += line.len();
    }
    start.map(|start| &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_ends_at_the_next_heading_but_not_in_a_block() {
        let text = "# A\none\n## B b\ntwo\n```\n# no heading\n```\n# C\n";
        assert_eq!(section(text, "A"), Some("one\n"));
        assert_eq!(section(text, "B b"), Some("two\n```\n# no heading\n```\n"));
        assert_eq!(section(text, "C"), Some(""));
        assert_eq!(section(text, "D"), None);
    }
}
