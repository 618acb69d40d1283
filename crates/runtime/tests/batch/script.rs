//! A guest that does what a script says: each record's nanoseconds are the number of a command.

use flb_event::{Chunk, ChunkBuilder, Event, Tag, Timestamp};

/// Where the script's data lie in the guest, and its commands.
const DATA: u32 = 0x1_0000;
const COMMANDS: u32 = 0x8_0000;
/// Most commands.
const MOST: usize = 4096;

/// What the guest does with a record, beside what it says of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// Nothing.
    Say = 0,
    /// It traps before it says anything.
    Trap = 1,
    /// It never comes back.
    Spin = 2,
    /// It says that it is out of room, unless the call began with this record.
    Again = 3,
    /// It returns the number in `at` in the middle of its work.
    Return = 4,
    /// It says what it says, and then traps.
    SayAndTrap = 5,
    /// It writes the number in `at` over `next`, and returns 0.
    Forge = 6,
    /// It grows its memory by a page, and says what it says.
    Grow = 7,
    /// It writes zeros over the whole block but `next`.
    Erase = 8,
}

/// The guest: `commands` are action, verdict, at, len. With bit 31 of the verdict set, `at` counts from the record's body.
const GUEST: &str = r#"
  (func (export "flb_batch_1"))
  (global $calls (mut i32) (i32.const 0))
  (func (export "filter") (param $batch i32) (result i32)
    (local $next i32) (local $begin i32) (local $rec i32) (local $cmd i32) (local $act i32) (local $count i32)
    (local $recs i32)
    (local.set $begin (i32.load offset=12 (local.get $batch)))
    (local.set $next (local.get $begin))
    (local.set $count (i32.load offset=8 (local.get $batch)))
    (local.set $recs (i32.load offset=16 (local.get $batch)))
    (loop $records
      (i32.store offset=12 (local.get $batch) (local.get $next))
      (if (i32.ge_u (local.get $next) (local.get $count)) (then (return (i32.const 0))))
      (local.set $rec (i32.add (local.get $recs) (i32.mul (local.get $next) (i32.const 32))))
      (local.set $cmd (i32.add (i32.const 0x80000) (i32.mul (i32.load offset=4 (local.get $rec)) (i32.const 16))))
      (local.set $act (i32.load (local.get $cmd)))
      (if (i32.eq (local.get $act) (i32.const 1)) (then unreachable))
      (if (i32.eq (local.get $act) (i32.const 2)) (then (loop $for_ever (br $for_ever))))
      (if (i32.and (i32.eq (local.get $act) (i32.const 3)) (i32.ne (local.get $next) (local.get $begin)))
        (then (return (i32.const 1))))
      (if (i32.eq (local.get $act) (i32.const 4)) (then (return (i32.load offset=8 (local.get $cmd)))))
      (if (i32.eq (local.get $act) (i32.const 6))
        (then (i32.store offset=12 (local.get $batch) (i32.load offset=8 (local.get $cmd))) (return (i32.const 0))))
      (if (i32.eq (local.get $act) (i32.const 7)) (then (drop (memory.grow (i32.const 1)))))
      (if (i32.eq (local.get $act) (i32.const 8)) (then
        (memory.fill (local.get $batch) (i32.const 0) (i32.const 12))
        (memory.fill (i32.add (local.get $batch) (i32.const 16)) (i32.const 0) (i32.const 1024))
        (i32.store offset=12 (local.get $batch) (local.get $count))
        (return (i32.const 0))))
      (i32.store offset=20 (local.get $rec) (i32.and (i32.load offset=4 (local.get $cmd)) (i32.const 0x7fffffff)))
      (i32.store offset=24 (local.get $rec) (i32.add (i32.load offset=8 (local.get $cmd))
        (select (i32.load offset=12 (local.get $rec)) (i32.const 0) (i32.lt_s (i32.load offset=4 (local.get $cmd)) (i32.const 0)))))
      (i32.store offset=28 (local.get $rec) (i32.load offset=12 (local.get $cmd)))
      (if (i32.eq (local.get $act) (i32.const 5)) (then unreachable))
      (local.set $next (i32.add (local.get $next) (i32.const 1)))
      (br $records))
    unreachable)"#;

pub(crate) const KEEP: u32 = 0;
pub(crate) const DROP: u32 = 1;
pub(crate) const EDIT: u32 = 2;
pub(crate) const REPLACE: u32 = 3;
pub(crate) const SPLIT: u32 = 4;
pub(crate) const FAIL: u32 = 5;
/// With a verdict: the address counts from the record's body.
pub(crate) const IN_BODY: u32 = 1 << 31;

/// What a guest does and says, command by command.
#[derive(Default)]
pub(crate) struct Script {
    data: Vec<u8>,
    commands: Vec<[u32; 4]>,
}

/// An edit as the guest writes it: kind, key, value.
pub(crate) type Raw<'a> = (u32, &'a [u8], &'a [u8]);

impl Script {
    /// Puts bytes into the guest's memory: their address.
    pub(crate) fn place(&mut self, bytes: &[u8]) -> u32 {
        let at = DATA + self.data.len() as u32;
        self.data.extend_from_slice(bytes);
        at
    }

    /// Adds a command; its number.
    pub(crate) fn command(&mut self, act: Act, verdict: u32, at: u32, len: u32) -> u32 {
        self.commands.push([act as u32, verdict, at, len]);
        assert!(self.commands.len() <= MOST);
        self.commands.len() as u32 - 1
    }

    /// Says this of a record.
    pub(crate) fn say(&mut self, verdict: u32, at: u32, len: u32) -> u32 {
        self.command(Act::Say, verdict, at, len)
    }

    /// Does this with a record that it would keep.
    pub(crate) fn act(&mut self, act: Act) -> u32 {
        self.command(act, KEEP, 0, 0)
    }

    /// Says a verdict about bytes.
    pub(crate) fn say_bytes(&mut self, verdict: u32, bytes: &[u8]) -> u32 {
        let at = self.place(bytes);
        self.say(verdict, at, bytes.len() as u32)
    }

    /// Makes edits.
    pub(crate) fn edit(&mut self, edits: &[Raw<'_>]) -> u32 {
        let at = self.list(edits);
        self.say(EDIT, at, edits.len() as u32)
    }

    /// A list of edits: its address.
    pub(crate) fn list(&mut self, edits: &[Raw<'_>]) -> u32 {
        let words: Vec<[u32; 4]> = edits
            .iter()
            .map(|(kind, key, value)| {
                [
                    kind | (key.len() as u32) << 8,
                    self.place(key),
                    self.place(value),
                    value.len() as u32,
                ]
            })
            .collect();
        self.words(&words)
    }

    /// Puts words into the guest's memory: their address.
    pub(crate) fn words<const N: usize>(&mut self, words: &[[u32; N]]) -> u32 {
        let bytes: Vec<u8> =
            words.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
        self.place(&bytes)
    }

    /// The module.
    pub(crate) fn module(&self) -> Vec<u8> {
        self.module_with("")
    }

    /// The module, with more in it.
    pub(crate) fn module_with(&self, more: &str) -> Vec<u8> {
        assert!(DATA as usize + self.data.len() <= COMMANDS as usize);
        let commands: Vec<u8> =
            self.commands.as_flattened().iter().flat_map(|word| word.to_le_bytes()).collect();
        let text = format!(
            r#"(module {more} {GUEST} (memory (export "memory") 16)
              (data (i32.const {DATA}) "{}") (data (i32.const {COMMANDS}) "{}"))"#,
            escaped(&self.data),
            escaped(&commands),
        );
        wat::parse_str(text).unwrap()
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

/// A batch of records with these bodies, each with the number of its command.
pub(crate) fn batch(records: &[(u32, &[u8])]) -> Chunk {
    let mut chunk = ChunkBuilder::new(Tag::new("app").unwrap());
    for (sec, (command, body)) in (1..).zip(records) {
        let time = Timestamp { sec, nsec: *command };
        chunk.push(Event { time, metadata: &[0x81, 0xa1, b'm', 0x07], body }).unwrap();
    }
    chunk.build()
}
