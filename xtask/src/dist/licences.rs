//! The libraries of others that are in the programs, with their licences.

use anyhow::Result;

use crate::run::{command, output};

/// One line a library: name, version, licence, home. What is in a program depends on what it is built for.
pub(super) fn list(programs: &[&str], triple: Option<&str>, features: &str) -> Result<String> {
    let line = format!("cargo tree --locked{features} --edges normal,no-proc-macro --prefix none");
    let mut tree = command(&line);
    if let Some(triple) = triple {
        tree.args(["--target", triple]);
    }
    tree.args(["--format", "{p}: {l}; {r}"]);
    for program in programs {
        tree.args(["--package", program]);
    }
    Ok(format!("The programs contain code of these libraries:\n\n{}", lines(&output(&mut tree)?)))
}

/// What `cargo tree` says, each library once, without those of this project.
fn lines(said: &str) -> String {
    let lines = said.lines().map(|line| line.trim_end_matches(" (*)"));
    // Behind the name of a package that comes from no registry stands its path.
    let mut lines: Vec<&str> =
        lines.filter(|line| !line.is_empty() && !line.contains(" (/")).collect();
    lines.sort_unstable();
    lines.dedup();
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_others_are_listed_once() {
        let said = "flb-agent v0.1.0 (/a): Apache-2.0; \nb v1.0.0: MIT; u\na v2.0.0: MIT; \n\nb v1.0.0: MIT; u (*)\n";
        assert_eq!(lines(said), "a v2.0.0: MIT; \nb v1.0.0: MIT; u\n");
    }
}
