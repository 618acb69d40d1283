//! Every row of the CPU tables names flags that the code generator has.

use flb_artifact::{Architecture, CpuTable, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};

#[test]
fn every_cpu_and_every_feature_of_every_target_compiles() {
    let wasm = wat::parse_str(
        r#"(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))"#,
    )
    .unwrap();
    for architecture in Architecture::ALL.into_iter().filter(|known| !known.is_portable()) {
        let table = CpuTable::of(architecture);
        let all: Vec<String> = table.features.iter().map(|one| format!("+{}", one.name)).collect();
        let cpus = table.cpus.iter().map(|cpu| (Some(cpu.name), None));
        for (cpu, features) in cpus.chain([(None, Some(all.join(",")))]) {
            let target = Target::parse(architecture.name(), cpu, features.as_deref()).unwrap();
            let compiler = Compiler::new(CompileOptions {
                targets: vec![target],
                levels: Levels { opt_level: 0, size_level: 3 },
                embed_wasm: false,
                jobs: 1,
                producer: "test".to_owned(),
            });
            if let Err(error) = compiler.compile(&wasm) {
                panic!("{} {cpu:?} {features:?}: {error}", architecture.name());
            }
        }
    }
}
