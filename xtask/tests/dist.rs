//! The packages of `cargo xtask dist`, made from the programs that the other tests have built: they install, run, and go.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

/// Makes packages in this folder; what the chore says.
fn dist(programs: &Path, out: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("dist").arg("--programs").arg(programs).arg("--out").arg(out).args(arguments);
    command.env("SOURCE_DATE_EPOCH", "1750000000");
    let output = command.output().unwrap();
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    said.into_owned()
}

#[test]
fn packages_install_and_two_runs_give_the_same_bytes() {
    let programs = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
    if !["flb-agent", "flb-wamrc"].iter().all(|name| programs.join(name).exists()) {
        eprintln!("SKIPPED: the programs are not built; cargo test --workspace builds them");
        return;
    }
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("dist");
    let said = dist(programs, &out, &["--check"]);
    eprintln!("{said}");
    let sums = std::fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    assert!(sums.lines().count() == 2 || said.contains("SKIPPED"), "{sums}");
    dist(programs, &out, &[]);
    assert_eq!(std::fs::read_to_string(out.join("SHA256SUMS")).unwrap(), sums);
    std::fs::remove_dir_all(out).unwrap();
}
