// A filter that allocates with every call; see README.md.
const std = @import("std");

const kept = 32;
const enough = 64 << 20;
const sizes = [_]usize{ 40, 4000, 70000, 1048576 };
const allocator = std.heap.wasm_allocator;

var blocks: [kept]?[]u8 = @splat(null);
var calls: usize = 0;
var allocated: usize = 0;

/// Volatile: to the compiler, no allocation changes anything else.
fn sum(text: []const volatile u8) u64 {
    var value: u64 = 14695981039346656037;
    for (text) |byte| value = (value ^ byte) *% 1099511628211;
    return value;
}

/// Allocates, overwrites, and frees what was allocated 32 calls ago.
fn churn() void {
    const slot = calls % kept;
    const size = sizes[calls % sizes.len];
    calls += 1;
    if (blocks[slot]) |block| allocator.free(block);
    blocks[slot] = null;
    if (allocated > enough) return;
    const block = allocator.alloc(u8, size) catch return;
    allocated += size;
    @memset(block, 0x5a);
    std.mem.doNotOptimizeAway(block.ptr);
    blocks[slot] = block;
}

export fn hazard(
    tag: [*]const volatile u8,
    tag_len: u32,
    _: u32,
    _: u32,
    record: [*]const volatile u8,
    record_len: u32,
) ?[*]const volatile u8 {
    const before = sum(tag[0..tag_len]) ^ sum(record[0..record_len]);
    churn();
    const after = sum(tag[0..tag_len]) ^ sum(record[0..record_len]);
    return if (before == after) record else null;
}
