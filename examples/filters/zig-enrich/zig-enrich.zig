//! A log filter in Zig: adds to every record the language it was seen by, its tag, its time in words
//! and its original text.
//!
//!     zig build-exe -target wasm32-freestanding -fno-entry -rdynamic -O ReleaseFast -fstrip zig-enrich.zig
//!     zig test zig-enrich.zig

const std = @import("std");
const builtin = @import("builtin");
const json = std.json;

/// The memory of one call: the answer to the last one lies in it, which the agent copies before it
/// calls again.
var arena: std.heap.ArenaAllocator = .init(if (builtin.target.cpu.arch.isWasm())
    std.heap.wasm_allocator
else
    std.heap.page_allocator);

/// Called by the agent for every record; answers with the new record, as JSON text that ends with a
/// NUL. An empty text would drop the record. One that is no JSON object is handed back as it came,
/// and so is one that there is no memory for.
export fn zig_filter(
    tag: [*]const u8,
    tag_len: usize,
    sec: u32,
    nsec: u32,
    record: [*:0]const u8,
    record_len: usize,
) [*:0]const u8 {
    return enrich(tag[0..tag_len], sec, nsec, record[0..record_len]) catch record;
}

/// The record with our keys behind its own.
fn enrich(tag: []const u8, sec: u32, nsec: u32, text: []const u8) ![*:0]const u8 {
    // What a large record took is given back, what is common is kept.
    _ = arena.reset(.{ .retain_with_limit = 1 << 20 });
    const memory = arena.allocator();

    const parsed = try json.parseFromSliceLeaky(json.Value, memory, text, .{
        .duplicate_field_behavior = .use_last,
        // A number stays the text that it is: no digit is lost or added.
        .parse_numbers = false,
    });
    var members = switch (parsed) {
        .object => |object| object,
        else => return error.NoObject,
    };
    try members.put(memory, "lang", .{ .string = "Zig" });
    const readable = try std.fmt.allocPrint(memory, "{f}", .{std.unicode.fmtUtf8(tag)});
    try members.put(memory, "tag", .{ .string = readable });
    try members.put(memory, "time", .{ .string = try rfc3339(memory, sec, nsec) });
    try members.put(memory, "original", .{ .string = text });

    var answer: std.Io.Writer.Allocating = try .initCapacity(memory, 3 * text.len + 256);
    try json.Stringify.value(json.Value{ .object = members }, .{}, &answer.writer);
    return (try answer.toOwnedSliceSentinel(0)).ptr;
}

/// `1795355380, 917655454` -> `2026-11-22T13:49:40.917655454Z`
fn rfc3339(memory: std.mem.Allocator, sec: u32, nsec: u32) ![]const u8 {
    const moment: std.time.epoch.EpochSeconds = .{ .secs = sec };
    const date = moment.getEpochDay().calculateYearDay();
    const day = date.calculateMonthDay();
    const clock = moment.getDaySeconds();
    return std.fmt.allocPrint(memory, "{d:0>4}-{d:0>2}-{d:0>2}T{d:0>2}:{d:0>2}:{d:0>2}.{d:0>9}Z", .{
        date.year,               day.month.numeric(),        day.day_index + 1,
        clock.getHoursIntoDay(), clock.getMinutesIntoHour(), clock.getSecondsIntoMinute(),
        nsec,
    });
}

/// Calls the filter as the agent does.
fn call(tag: []const u8, sec: u32, nsec: u32, record: [:0]const u8) []const u8 {
    return std.mem.span(zig_filter(tag.ptr, tag.len, sec, nsec, record.ptr, record.len));
}

test "keys are added behind the record's own" {
    try std.testing.expectEqualStrings(
        \\{"message":"dummy","lang":"Zig","tag":"dummy.local","time":"2026-11-22T13:49:40.917655454Z","original":"{\"message\":\"dummy\"}"}
    , call("dummy.local", 1_795_355_380, 917_655_454,
        \\{"message":"dummy"}
    ));
}

test "a key that is there already keeps its place" {
    const answer = call("t", 0, 0,
        \\{"lang":"C","n":1}
    );
    try std.testing.expect(std.mem.startsWith(u8, answer,
        \\{"lang":"Zig","n":1,"tag":"t",
    ));
}

test "numbers stay as they are written" {
    const answer = call("t", 0, 0,
        \\{"a":1.50,"b":-1e5,"c":123456789012345678901234567890}
    );
    try std.testing.expect(std.mem.startsWith(u8, answer,
        \\{"a":1.50,"b":-1e5,"c":123456789012345678901234567890,
    ));
}

test "a tag that is not UTF-8 is shown as well as can be" {
    const answer = call("a\xff", 0, 0, "{}");
    try std.testing.expect(std.mem.find(u8, answer, "\"tag\":\"a\u{fffd}\"") != null);
}

test "what is no object is handed back" {
    for ([_][:0]const u8{ "[1,2]", "no JSON", "{\"a\":", "" }) |text| {
        try std.testing.expectEqualStrings(text, call("t", 0, 0, text));
    }
}

test "days are dated" {
    for ([_]struct { u32, []const u8 }{
        .{ 0, "1970-01-01" },
        .{ 951_782_400, "2000-02-29" },
        .{ 4_294_944_000, "2106-02-07" }, // the last day that 32 bits can say
    }) |case| {
        const sec, const date = case;
        const time = try rfc3339(std.testing.allocator, sec, 0);
        defer std.testing.allocator.free(time);
        try std.testing.expect(std.mem.startsWith(u8, time, date));
    }
}
