//! The packages of `cargo xtask dist`, made from the programs that the other tests have built: they install, run, and go. And those for
//! another machine and in a container image, made from a small program that says what the agent would.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In place of both programs: says a record, if it may write nothing but what the agent may, and waits to be asked to stop.
const PROGRAM: &str = r#"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words) {
    if (count > 1 && (!strcmp(words[1], "man") || !strcmp(words[1], "completions"))) {
        return puts("words") < 0;
    }
    if (open("/written", O_CREAT | O_WRONLY, 0600) >= 0) {
        fputs("it may write to the root\n", stderr);
        return 3;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    puts("{\"cpu_p\":1.5,\"lang\":\"C\"}");
    fflush(stdout);
    int signal;
    return sigwait(&signals, &signal);
}
"#;

/// Runs a chore; what it says.
fn xtask(chore: &str, programs: &Path, out: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.args(chore.split(' ')).args(arguments);
    command.arg("--programs").arg(programs).arg("--out").arg(out);
    command.env("SOURCE_DATE_EPOCH", "1750000000");
    let output = command.output().unwrap();
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{errors}");
    eprintln!("{said}");
    said.into_owned()
}

/// A folder of this test's own, empty.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Compiles the small program as both; nothing without that compiler.
fn programs(compiler: &str, folder: &Path) -> Option<PathBuf> {
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    let source = folder.join("program.c");
    fs::write(&source, PROGRAM).unwrap();
    let agent = programs.join("flb-agent");
    let mut words = compiler.split(' ');
    let mut command = Command::new(words.next().unwrap());
    let made = command.args(words).arg(source).arg("-o").arg(&agent).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: {compiler} makes no program here");
        return None;
    }
    fs::copy(agent, programs.join("flb-wamrc")).unwrap();
    Some(programs)
}

#[test]
fn packages_install_and_two_runs_give_the_same_bytes() {
    let programs = Path::new(env!("CARGO_BIN_EXE_xtask")).parent().unwrap();
    if !["flb-agent", "flb-wamrc"].iter().all(|name| programs.join(name).exists()) {
        eprintln!("SKIPPED: the programs are not built; cargo test --workspace builds them");
        return;
    }
    let out = folder("dist");
    let said = xtask("dist", programs, &out, &["--check"]);
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    assert!(sums.lines().count() == 2 || said.contains("SKIPPED"), "{sums}");
    xtask("dist", programs, &out, &[]);
    assert_eq!(fs::read_to_string(out.join("SHA256SUMS")).unwrap(), sums);
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn packages_for_another_machine_install_and_run_and_two_runs_give_the_same_bytes() {
    let out = folder("dist-foreign");
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("SKIPPED: aarch64 may be this machine");
        return;
    }
    let Some(programs) = programs("aarch64-linux-gnu-gcc", &out) else { return };
    let chore = "dist --target aarch64";
    let said = xtask(chore, &programs, &out, &["--check"]);
    assert!(said.contains("its agent runs, says cpu_p=1.5") || said.contains("SKIPPED"), "{said}");
    let sums = fs::read_to_string(out.join("SHA256SUMS")).unwrap();
    for name in ["_arm64.deb", "-aarch64-linux-gnu.tar.gz"] {
        assert!(sums.contains(name), "{sums}");
    }
    xtask(chore, &programs, &out, &[]);
    assert_eq!(fs::read_to_string(out.join("SHA256SUMS")).unwrap(), sums);
    fs::remove_dir_all(out).unwrap();
}

#[test]
fn a_container_runs_the_image_without_privileges_and_two_runs_give_the_same_bytes() {
    let out = folder("image");
    if cfg!(not(target_arch = "x86_64")) {
        eprintln!("SKIPPED: the image under test is x86_64's");
        return;
    }
    let Some(programs) = programs("cc -static", &out) else { return };
    let layout = out.join("layout");
    let said = xtask("image x86_64", &programs, &layout, &["--check"]);
    assert!(said.contains("runc runs it as user 65532") || said.contains("SKIPPED"), "{said}");
    let index = fs::read(layout.join("index.json")).unwrap();
    xtask("image x86_64", &programs, &layout, &[]);
    assert_eq!(fs::read(layout.join("index.json")).unwrap(), index);
    fs::remove_dir_all(out).unwrap();
}
