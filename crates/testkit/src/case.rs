//! Cases in text files: what is to be done and what comes of it, side by side.

/// A file that opens with a fact, as comment, and goes on with settings and sections:
///
/// ```text
/// # An empty answer drops the record.
/// module = pointers.wat
/// --- stdout
/// lines up to the next section
/// ```
///
/// Long texts are written short: `<3000 x>` is three thousand times `x`, and `<\x08>` is the byte 8.
#[derive(Debug, Clone)]
pub struct Case {
    settings: Vec<(String, String)>,
    sections: Vec<(String, String)>,
}

impl Case {
    /// Reads a case that may have these settings and these sections.
    pub fn parse(text: &str, settings: &[&str], sections: &[&str]) -> Self {
        assert!(text.starts_with("# "), "a case begins with '# ' and the fact that it is about");
        let mut case = Self { settings: Vec::new(), sections: Vec::new() };
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("--- ") {
                assert!(sections.contains(&name), "no section is called '{name}'");
                case.sections.push((name.to_owned(), String::new()));
            } else if let Some((_, section)) = case.sections.last_mut() {
                section.push_str(&unfold(line));
                section.push('\n');
            } else if !line.is_empty() && !line.starts_with('#') {
                let (name, value) = line.split_once(" = ").unwrap_or((line, ""));
                assert!(settings.contains(&name), "no setting is called '{name}'");
                case.settings.push((name.to_owned(), unfold(value)));
            }
        }
        case
    }

    /// A setting's value, if it is set.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All values of a setting that may be set several times.
    pub fn settings<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.settings.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A section's lines, if there is one.
    pub fn section(&self, name: &str) -> Option<&str> {
        self.sections.iter().find(|(key, _)| key == name).map(|(_, text)| text.as_str())
    }
}

/// Writes out what is written short.
fn unfold(line: &str) -> String {
    let Some((before, rest)) = line.split_once('<') else { return line.to_owned() };
    let unfolded = rest.split_once('>').and_then(|(inside, after)| {
        let text = match inside.strip_prefix("\\x") {
            Some(byte) => char::from(u8::from_str_radix(byte, 16).ok()?).to_string(),
            None => {
                let (times, text) = inside.split_once(' ')?;
                text.repeat(times.parse().ok()?)
            }
        };
        Some((text, after))
    });
    match unfolded {
        Some((text, after)) => format!("{before}{text}{}", unfold(after)),
        None => format!("{before}<{}", unfold(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_read() {
        let text = "# A fact,\n# and more.\na = 1\n\na = <2 xy>\n--- out\n# kept\n\n--- err\nlast";
        let case = Case::parse(text, &["a", "b"], &["out", "err"]);
        assert!(case.settings("a").eq(["1", "xyxy"]));
        assert_eq!(case.setting("b"), None);
        assert_eq!(case.section("out"), Some("# kept\n\n"));
        assert_eq!(case.section("err"), Some("last\n"));
    }

    #[test]
    #[should_panic(expected = "no setting is called 'modul'")]
    fn a_setting_that_nobody_knows_is_a_mistake() {
        Case::parse("# A fact.\nmodul = x\n", &["module"], &[]);
    }

    #[test]
    fn what_is_written_short_is_written_out() {
        for (short, long) in [
            ("a<3 b>c<\\x08>", "abbbc\u{8}"),
            ("<a href='x'>&</a>", "<a href='x'>&</a>"),
            ("1 < 2 <2 >>", "1 < 2 >"),
            ("<", "<"),
        ] {
            assert_eq!(unfold(short), long);
        }
    }
}
