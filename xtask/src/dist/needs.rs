//! What programs need of the system, read off themselves: the shared libraries that they load and the versions of their symbols.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

use crate::run::{command, output};

/// A shared library's name, the Debian package that has it, and what its symbols' versions begin with.
const LIBRARIES: &[(&str, &str, &str)] = &[
    ("libc.so", "libc6", "GLIBC_"),
    ("libm.so", "libc6", "GLIBC_"),
    ("libdl.so", "libc6", "GLIBC_"),
    ("libpthread.so", "libc6", "GLIBC_"),
    ("librt.so", "libc6", "GLIBC_"),
    ("ld-linux", "libc6", "GLIBC_"),
    ("ld64.so", "libc6", "GLIBC_"),
    ("libgcc_s.so", "libgcc-s1", "GCC_"),
];

/// What the package's scripts need, whatever the programs do.
const SCRIPTS: [&str; 1] = ["passwd"];

/// Debian's packages that the programs and the scripts need, each with its least version.
pub(super) fn packages<P: AsRef<Path>>(programs: &[P]) -> Result<Vec<String>> {
    let mut needs = BTreeMap::new();
    for program in programs {
        let mut command = command("readelf --dynamic --version-info --wide");
        let said = output(command.arg(program.as_ref()))?;
        add(&said, &mut needs).with_context(|| format!("{}", program.as_ref().display()))?;
    }
    let libraries = needs.into_iter().map(|(package, version)| match version.is_empty() {
        true => package.to_owned(),
        false => {
            let version: Vec<String> = version.iter().map(u32::to_string).collect();
            format!("{package} (>= {})", version.join("."))
        }
    });
    Ok(libraries.chain(SCRIPTS.map(str::to_owned)).collect())
}

/// The least version of the C library that a program or a library works with.
pub(super) fn glibc(file: &Path) -> Result<Vec<u32>> {
    let mut needs = BTreeMap::new();
    let mut command = command("readelf --dynamic --version-info --wide");
    add(&output(command.arg(file))?, &mut needs)?;
    Ok(needs.remove("libc6").unwrap_or_default())
}

/// Adds what `readelf` says of one program.
fn add(said: &str, needs: &mut BTreeMap<&'static str, Vec<u32>>) -> Result<()> {
    for line in said.lines() {
        let library = line.split_once("(NEEDED)").and_then(|(_, rest)| rest.split_once('['));
        if let Some((_, name)) = library {
            let known = LIBRARIES.iter().find(|(library, ..)| name.starts_with(library));
            let name = name.trim_end_matches(']');
            let (_, package, _) =
                known.with_context(|| format!("which package has {name}? Tell it to needs.rs"))?;
            needs.entry(*package).or_default();
        }
    }
    for word in said.split_whitespace() {
        for (_, package, prefix) in LIBRARIES {
            let version = word.strip_prefix(prefix).and_then(version);
            if let (Some(version), Some(least)) = (version, needs.get_mut(package)) {
                *least = version.max(std::mem::take(least));
            }
        }
    }
    Ok(())
}

/// `2.34` as numbers; nothing of `PRIVATE`.
fn version(text: &str) -> Option<Vec<u32>> {
    text.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAID: &str = "\
 0x0001 (NEEDED)             Shared library: [libgcc_s.so.1]
 0x0001 (NEEDED)             Shared library: [libc.so.6]
  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 7
  0x0020:   Name: GLIBC_2.34  Flags: none  Version: 6
  0x0030:   Name: GLIBC_PRIVATE  Flags: none  Version: 5
  0x0040:   Name: GCC_3.0  Flags: none  Version: 4
";

    #[test]
    fn the_latest_version_of_a_symbol_counts() {
        let mut needs = BTreeMap::new();
        add(SAID, &mut needs).unwrap();
        let expected = BTreeMap::from([("libc6", vec![2, 34]), ("libgcc-s1", vec![3, 0])]);
        assert_eq!(needs, expected);
    }

    #[test]
    fn a_library_that_nobody_knows_is_a_mistake() {
        let said = " (NEEDED) Shared library: [libssl.so.3]";
        let error = add(said, &mut BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("which package has libssl.so.3?"), "{error}");
    }
}
