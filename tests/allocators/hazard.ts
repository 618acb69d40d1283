// A filter that allocates with every call; see README.md.

const KEPT = 32;
const ENOUGH = 64 << 20;
const SIZES: StaticArray<i32> = [40, 4000, 70000, 1048576];
const blocks = new StaticArray<Uint8Array | null>(KEPT);
let calls = 0;
let allocated = 0;

function sum(at: usize, length: u32): u64 {
  let value: u64 = 14695981039346656037;
  for (let i: u32 = 0; i < length; i++) value = (value ^ load<u8>(at + i)) * 1099511628211;
  return value;
}

// Allocates, overwrites, and forgets what was allocated 32 calls ago.
function churn(): void {
  const slot = calls % KEPT;
  const size = SIZES[calls++ % 4];
  blocks[slot] = null;
  if (allocated > ENOUGH) return;
  const block = new Uint8Array(size);
  allocated += size;
  block.fill(0x5a);
  blocks[slot] = block;
}

export function hazard(tag: usize, tagLen: u32, sec: u32, nsec: u32, record: usize, recordLen: u32): usize {
  const before = sum(tag, tagLen) ^ sum(record, recordLen);
  churn();
  const after = sum(tag, tagLen) ^ sum(record, recordLen);
  return before == after ? record : 0;
}
