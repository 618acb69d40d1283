//! What `--target`, `--target-abi`, `--cpu` and `--cpu-features` name together, and the lists that they show.

use flb_artifact::{Architecture, CpuTable, Meaning, TARGET_NAMES, Target, TargetError};
use flb_text::did_you_mean;

use crate::compile_options::CompileArgs;
use crate::usage::UsageError;

/// Every target that the options name; this host when they name none.
pub(crate) fn targets(given: &CompileArgs) -> Result<Vec<Target>, UsageError> {
    let Some(names) = given.target.as_deref() else { return Ok(vec![host(given)?]) };
    let words: Vec<&str> = names.split(',').collect();
    if words.len() > 1 {
        one_target_only(given, &words)?;
    }
    let mut targets: Vec<Target> = Vec::new();
    for word in words {
        let target = one(word, given)?;
        let same =
            |known: &&Target| known.triple == target.triple && known.features == target.features;
        if let Some(known) = targets.iter().find(same) {
            return Err(UsageError::new(
                format!("target '{word}' gives the same code as '{known}'"),
                "name each target once, or give each another CPU: --target=x86_64,x86_64:x86-64-v3",
            ));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// `--cpu` and its like say nothing when it is not clear for which target.
fn one_target_only(given: &CompileArgs, words: &[&str]) -> Result<(), UsageError> {
    let several = |option: &str, help: String| {
        Err(UsageError::new(format!("option '{option}' is for one target"), help))
    };
    if let Some(cpu) = &given.cpu {
        return several(
            "--cpu",
            format!("write it behind its target: --target={}:{cpu},{}", words[0], words[1]),
        );
    }
    if given.cpu_features.is_some() {
        return several("--cpu-features", "compile for one target at a time".to_owned());
    }
    Ok(())
}

/// `x86_64`, `x86_64:x86-64-v3`, or a triple.
fn one(word: &str, given: &CompileArgs) -> Result<Target, UsageError> {
    let (name, own) = match word.split_once(':') {
        Some((name, cpu)) => (name, Some(cpu)),
        None => (word, None),
    };
    if let (Some(own), Some(cpu)) = (own, &given.cpu) {
        return Err(UsageError::new(
            format!("two CPUs for one target: '{own}' and '{cpu}'"),
            "leave --cpu out",
        ));
    }
    let cpu = own.or(given.cpu.as_deref());
    let triple = windows(name, given.abi.as_deref())?;
    let features = given.cpu_features.as_deref();
    let mut target = Target::parse(triple.unwrap_or(name), cpu, features).map_err(explain)?;
    target.name = name.to_owned();
    Ok(target)
}

/// The triple for the one ABI that is another system's.
fn windows(name: &str, abi: Option<&str>) -> Result<Option<&'static str>, UsageError> {
    match (abi, name) {
        (Some("msvc"), "x86_64" | "amd64") => Ok(Some("x86_64-pc-windows-msvc")),
        (Some("msvc"), "aarch64" | "arm64") => Ok(Some("aarch64-pc-windows-msvc")),
        (Some("msvc"), name) if !name.contains("-windows-") => Err(UsageError::new(
            format!("the ABI 'msvc' is Windows', and there is no Windows for target '{name}'"),
            "give it with --target=x86_64 or --target=aarch64",
        )),
        _ => Ok(None),
    }
}

fn host(given: &CompileArgs) -> Result<Target, UsageError> {
    let host = Target::host().ok_or_else(|| {
        UsageError::new(
            "nothing compiled here runs on this machine",
            "name a target: --target=x86_64",
        )
    })?;
    let (cpu, features) = (given.cpu.as_deref(), given.cpu_features.as_deref());
    if cpu.is_none() && features.is_none() {
        return Ok(host);
    }
    let mut target = Target::parse(&host.triple.to_string(), cpu.or(Some("native")), features)
        .map_err(explain)?;
    target.name = host.name;
    Ok(target)
}

/// What is worth knowing about the targets beside their code.
pub(crate) fn notes(given: &CompileArgs, targets: &[Target]) -> Vec<String> {
    let portable = targets.iter().filter(|target| target.is_portable());
    let mut notes: Vec<String> = portable
        .map(|target| {
            format!(
                "target '{target}' has no native back end: the code is portable and the agent \
                 interprets it, which is several times slower than native code"
            )
        })
        .collect();
    notes.extend(targets.iter().flat_map(|target| needless(given, target.architecture)));
    let chosen = given.cpu.is_some() || given.cpu_features.is_some();
    if chosen && targets.iter().any(Target::is_portable) {
        notes.push(
            "portable code is the same for every CPU: --cpu and --cpu-features change nothing"
                .to_owned(),
        );
    }
    notes
}

/// Features that are named and change nothing.
fn needless(given: &CompileArgs, architecture: Architecture) -> impl Iterator<Item = String> {
    let words = given.cpu_features.as_deref().unwrap_or_default().split(',');
    words.filter_map(move |word| {
        let name = word.strip_prefix(['+', '-'])?;
        let why = match Meaning::of(architecture, name)? {
            Meaning::Features(_) => return None,
            Meaning::Baseline => format!("it is part of every {}", architecture.name()),
            Meaning::Unused => "no code that is generated here has a use for it".to_owned(),
        };
        Some(format!("CPU feature '{name}' changes nothing: {why}"))
    })
}

/// What is worth knowing about an ABI that is no other system's.
pub(crate) fn abi_note(given: &CompileArgs) -> Option<String> {
    let abi = given.abi.as_deref().filter(|abi| !["gnu", "msvc"].contains(abi))?;
    Some(format!(
        "option '--target-abi={abi}' has no effect: the code calls nothing of the system, so it is \
         the same for all ABIs of a system"
    ))
}

/// The names that `--cpu=help` lists for the chosen target.
pub(crate) fn list_cpus(given: &CompileArgs) -> Result<String, UsageError> {
    list(given, |table| table.cpu_names().collect())
}

/// The names that `--cpu-features=+help` lists for the chosen target.
pub(crate) fn list_features(given: &CompileArgs) -> Result<String, UsageError> {
    list(given, |table| table.features.iter().map(|one| one.name).collect())
}

fn list(
    given: &CompileArgs,
    names: fn(&'static CpuTable) -> Vec<&'static str>,
) -> Result<String, UsageError> {
    let mut text = String::new();
    for target in targets(given)? {
        for name in names(CpuTable::of(target.architecture)) {
            text.push_str(name);
            text.push('\n');
        }
    }
    Ok(text)
}

fn explain(error: TargetError) -> UsageError {
    UsageError::new(error.to_string(), help(&error))
}

fn help(error: &TargetError) -> String {
    let near =
        |name: &str, architecture: &str, names: fn(&'static CpuTable) -> Vec<&'static str>| {
            let known = Architecture::ALL.into_iter().find(|known| known.name() == architecture)?;
            did_you_mean(name, names(CpuTable::of(known)))
        };
    let or_see = |near: Option<&str>, see: String| match near {
        Some(near) => format!("did you mean '{near}'? Or {see}"),
        None => see,
    };
    match error {
        TargetError::Unknown { name } => match did_you_mean(name, TARGET_NAMES) {
            Some(near) => format!("did you mean '{near}'? See --target=help"),
            None => "see --target=help".to_owned(),
        },
        TargetError::NoBackEnd { .. } => "see --target=help for those that have one".to_owned(),
        TargetError::Cpu { name, architecture } => or_see(
            near(name, architecture, |table| table.cpu_names().collect()),
            format!("see --target={architecture} --cpu=help"),
        ),
        TargetError::Feature { name, architecture } => or_see(
            near(name, architecture, |table| table.features.iter().map(|one| one.name).collect()),
            format!("see --target={architecture} --cpu-features=+help"),
        ),
        TargetError::Baseline { .. } => "leave it out".to_owned(),
        TargetError::Sign { name } => {
            format!("write +{name} to switch it on, -{name} to switch it off")
        }
        TargetError::NotNative { .. } => "name one of the target's CPUs".to_owned(),
        _ => "see flb-wamrc --help".to_owned(),
    }
}
