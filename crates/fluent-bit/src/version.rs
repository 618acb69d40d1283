//! Which Fluent Bit the plugin is in.

use std::fmt;

/// A release: `5.1.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    text: String,
    /// Its first two numbers.
    numbers: (u32, u32),
}

impl Version {
    /// The version that metrics in text form name: `… fluentbit_build_info{…,version="5.1.1",…} = …`.
    pub(crate) fn in_metrics(text: &str) -> Option<Self> {
        let line = text.lines().find(|line| line.contains("fluentbit_build_info{"))?;
        let (_, rest) = line.split_once("version=\"")?;
        let (text, _) = rest.split_once('"')?;
        let mut numbers = text.split(['.', '-']).map_while(|number| number.parse().ok());
        Some(Self { numbers: (numbers.next()?, numbers.next()?), text: text.to_owned() })
    }

    /// Whether its structs were looked at.
    pub(crate) fn is_known(&self) -> bool {
        ((2, 2)..(6, 0)).contains(&self.numbers)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_metrics_and_known_or_not() {
        let version = |version: &str| {
            let info = format!("{{hostname=\"a\",version=\"{version}\",os=\"linux\"}}");
            Version::in_metrics(&format!(
                "x{{version=\"1\"}} = 1\n2026 fluentbit_build_info{info} = 1\n"
            ))
        };
        for (text, known) in [
            ("2.1.10", false),
            ("2.2.0", true),
            ("5.1.1", true),
            ("5.2.0-dev", true),
            ("6.0.0", false),
        ] {
            let version = version(text).unwrap();
            assert_eq!((version.to_string().as_str(), version.is_known()), (text, known));
        }
        assert_eq!(version("unknown"), None);
        assert_eq!(Version::in_metrics(""), None);
    }
}
