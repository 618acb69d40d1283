//! A filter that leaks 1 KiB a record: the process must not grow.

use crate::world::World;

/// Takes a fresh KiB for each record, writes all of it, and grows its memory as it goes; traps when there is no more.
const LEAKS: &str = r#"(module (memory (export "memory") 1) (global $next (mut i32) (i32.const 4096))
    (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (global.get $next))
        (global.set $next (i32.add (local.get $at) (i32.const 1024)))
        (if (i32.gt_u (global.get $next) (i32.shl (memory.size) (i32.const 16)))
            (then (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))))
        (memory.fill (local.get $at) (i32.const 120) (i32.const 1024))
        (i64.store (local.get $at) (i64.const 0x7d353a226e227b))
        (local.get $at)))"#;

/// Resident memory of this process in KiB.
#[cfg(target_os = "linux")]
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

/// Runs that many records; prints and returns resident memory at every tenth.
#[cfg(target_os = "linux")]
fn run(records: u64, properties: &str) -> (Vec<u64>, flb_plugin::Tally, u64) {
    const BATCH: u64 = 1_000;
    let world = World::new();
    let mut filter = world.filter(&wat::parse_str(LEAKS).unwrap(), properties).unwrap();
    let batch = vec![&b"\x81\xa1a\x01"[..]; BATCH as usize];
    let (mut found, mut sizes) = (flb_plugin::Tally::default(), Vec::new());
    for number in 1..=records / BATCH {
        found.add(&world.run(filter.as_mut(), batch.iter().copied()));
        if number.is_multiple_of((records / BATCH / 10).max(1)) {
            sizes.push(resident());
        }
    }
    println!("{}: resident KiB {sizes:?}, {found:?}", properties.trim());
    assert_eq!(found.records(), records);
    (sizes, found, world.counted("recycles", None))
}

#[test]
#[cfg(target_os = "linux")]
fn a_filter_that_leaks_is_recycled_and_loses_nothing() {
    let (_, tally, recycled) = run(20_000, "    Recycle_Memory 4M\n");
    assert_eq!((tally.replaced, tally.failures()), (20_000, 0));
    assert!((4..=6).contains(&recycled), "{tally:?}");
    let (_, tally, recycled) = run(20_000, "    Recycle 3000\n");
    assert_eq!((tally.replaced, recycled), (20_000, 6));
}

#[test]
#[ignore = "slow tier: ten million records"]
#[cfg(target_os = "linux")]
fn a_filter_that_leaks_over_ten_million_records_stays_flat() {
    for properties in ["    Recycle_Memory 64M\n", "    Recycle 100000\n", "    Memory_Limit 64M\n"]
    {
        let (sizes, tally, _) = run(10_000_000, properties);
        assert!(tally.replaced >= 9_999_000);
        assert!(sizes.iter().all(|size| *size < 256 << 10), "{sizes:?}");
    }
}
