//! Log filters in Zig, which run as WebAssembly in flb-agent: a function that is given a record, and says what becomes of it.
//!
//!     const flb = @import("flb_filter.zig");
//!     pub const panic = flb.panic;
//!
//!     fn hide(record: *flb.Record, ctx: *const flb.Context) flb.Verdict {
//!         if (record.get("level").is("debug")) return .drop;
//!         record.set("tag", ctx.tag());
//!         return .keep;
//!     }
//!     comptime {
//!         flb.filter("hide", hide);
//!     }
//!
//!     zig build-exe -target wasm32-freestanding -fno-entry -rdynamic -O ReleaseFast -fstrip hide.zig
//!
//! The filter is exported under the name, which is its Function_Name; a module may have several. Nothing here allocates: records are
//! read where the host put them, answers are written into memory that it lends. What is read is the record as it came: edits change
//! what leaves. Of keys that come twice the last one is read; edits take all of a name. Keys, and the new ones of `rename`, must stay
//! until the filter has seen the whole batch: constants, and texts of the record, do. Values are copied.

const std = @import("std");
const builtin = @import("builtin");

const in_wasm = builtin.target.cpu.arch.isWasm();

/// What becomes of a record.
pub const Verdict = enum {
    /// It goes on, with what was edited; or in parts, if it was split.
    keep,
    /// It ends here.
    drop,
    /// It is a failure, for the reason that `Record.fail` was given.
    fail,
};

/// What a value is.
pub const Kind = enum { missing, nil, bool, int, float, text, binary, extension, array, map };

const Head = struct { header: usize = 1, bytes: usize = 0, values: usize = 0 };

inline fn read(comptime T: type, at: [*]const u8) T {
    return std.mem.readInt(T, at[0..@sizeOf(T)], .big);
}

/// What stands at the head of a value: how long its header and its bytes are, and how many values follow.
fn head(at: [*]const u8) Head {
    const mark = at[0];
    return switch (mark) {
        0x80...0x8f => .{ .values = 2 * @as(usize, mark & 15) },
        0x90...0x9f => .{ .values = mark & 15 },
        0xa0...0xbf => .{ .bytes = mark & 31 },
        0xcc, 0xd0 => .{ .bytes = 1 },
        0xcd, 0xd1 => .{ .bytes = 2 },
        0xca, 0xce, 0xd2 => .{ .bytes = 4 },
        0xcb, 0xcf, 0xd3 => .{ .bytes = 8 },
        0xc4, 0xd9 => .{ .header = 2, .bytes = at[1] },
        0xc5, 0xda => .{ .header = 3, .bytes = read(u16, at + 1) },
        0xc6, 0xdb => .{ .header = 5, .bytes = read(u32, at + 1) },
        0xc7 => .{ .header = 3, .bytes = at[1] },
        0xc8 => .{ .header = 4, .bytes = read(u16, at + 1) },
        0xc9 => .{ .header = 6, .bytes = read(u32, at + 1) },
        0xd4...0xd8 => .{ .header = 2, .bytes = @as(usize, 1) << @intCast(mark - 0xd4) },
        0xdc => .{ .header = 3, .values = read(u16, at + 1) },
        0xdd => .{ .header = 5, .values = read(u32, at + 1) },
        0xde => .{ .header = 3, .values = 2 * @as(usize, read(u16, at + 1)) },
        0xdf => .{ .header = 5, .values = 2 *% @as(usize, read(u32, at + 1)) },
        else => .{},
    };
}

/// Bytes of the values whose first byte is from 0xc0 to 0xdf, where that byte says it all.
const lengths = [32]u8{ 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18, 0, 0, 0, 0, 0, 0, 0 };

/// What follows the value.
inline fn skip(at: [*]const u8) [*]const u8 {
    const mark = at[0];
    if (mark < 0x80 or mark >= 0xe0) return at + 1;
    if (mark & 0xe0 == 0xa0) return at + 1 + (mark & 31);
    if (mark >= 0xc0 and lengths[mark & 31] > 0) return at + lengths[mark & 31];
    return longSkip(at);
}

noinline fn longSkip(first: [*]const u8) [*]const u8 {
    var at = first;
    var left: usize = 1;
    while (left > 0) : (left -= 1) {
        const found = head(at);
        at += found.header + found.bytes;
        left += found.values;
    }
    return at;
}

/// A value of a record, or none: what is not there equals nothing and has no members, so a path needs no questions on the way.
pub const Value = struct {
    /// Its msgpack, which the host has checked.
    at: ?[*]const u8,

    pub const missing: Value = .{ .at = null };

    /// Whether it is there.
    pub fn exists(self: Value) bool {
        return self.at != null;
    }

    /// What it is.
    pub fn kind(self: Value) Kind {
        const at = self.at orelse return .missing;
        return switch (at[0]) {
            0xc0, 0xc1 => .nil,
            0xc2, 0xc3 => .bool,
            0x00...0x7f, 0xcc...0xd3, 0xe0...0xff => .int,
            0xca, 0xcb => .float,
            0xa0...0xbf, 0xd9...0xdb => .text,
            0xc4...0xc6 => .binary,
            0xc7...0xc9, 0xd4...0xd8 => .extension,
            0x90...0x9f, 0xdc, 0xdd => .array,
            0x80...0x8f, 0xde, 0xdf => .map,
        };
    }

    pub fn asBool(self: Value) ?bool {
        const at = self.at orelse return null;
        return if (at[0] & 0xfe == 0xc2) at[0] == 0xc3 else null;
    }

    /// An integer that fits.
    pub inline fn asInt(self: Value) ?i64 {
        const at = self.at orelse return null;
        return switch (at[0]) {
            0x00...0x7f, 0xe0...0xff => @as(i8, @bitCast(at[0])),
            0xcc => at[1],
            0xcd => read(u16, at + 1),
            0xce => read(u32, at + 1),
            0xcf => std.math.cast(i64, read(u64, at + 1)),
            0xd0 => read(i8, at + 1),
            0xd1 => read(i16, at + 1),
            0xd2 => read(i32, at + 1),
            0xd3 => read(i64, at + 1),
            else => null,
        };
    }

    /// An integer that is not negative.
    pub fn asUint(self: Value) ?u64 {
        const at = self.at orelse return null;
        if (at[0] == 0xcf) return read(u64, at + 1);
        return std.math.cast(u64, self.asInt() orelse return null);
    }

    /// A float, or an integer as one: above 2^53 the nearest.
    pub fn asFloat(self: Value) ?f64 {
        const at = self.at orelse return null;
        return switch (at[0]) {
            0xca => @as(f32, @bitCast(read(u32, at + 1))),
            0xcb => @bitCast(read(u64, at + 1)),
            0xcf => @floatFromInt(read(u64, at + 1)),
            else => @floatFromInt(self.asInt() orelse return null),
        };
    }

    fn bytesOf(self: Value, comptime wanted: Kind) ?[]const u8 {
        if (self.kind() != wanted) return null;
        const at = self.at.?;
        const found = head(at);
        return at[found.header..][0..found.bytes];
    }

    /// A text: bytes that ought to be UTF-8, but nobody has looked.
    pub inline fn asText(self: Value) ?[]const u8 {
        const at = self.at orelse return null;
        if (at[0] & 0xe0 == 0xa0) return at[1..][0 .. at[0] & 31];
        return self.bytesOf(.text);
    }

    /// Bytes that are no text.
    pub fn asBinary(self: Value) ?[]const u8 {
        return self.bytesOf(.binary);
    }

    /// An extension's type and bytes.
    pub fn asExtension(self: Value) ?struct { i8, []const u8 } {
        const bytes = self.bytesOf(.extension) orelse return null;
        return .{ @bitCast((bytes.ptr - 1)[0]), bytes };
    }

    /// Whether it is this text.
    pub inline fn is(self: Value, wanted: []const u8) bool {
        const found = self.asText() orelse return false;
        return std.mem.eql(u8, found, wanted);
    }

    /// The member of this name. Of several the last, which is the one that counts elsewhere, in JSON text for example.
    pub inline fn get(self: Value, key: []const u8) Value {
        var found: Value = .missing;
        var all = self.entries();
        while (all.next()) |entry| {
            if (entry.key.is(key)) found = entry.value;
        }
        return found;
    }

    /// The first member of this name: less work where names stand early and come once.
    pub inline fn first(self: Value, key: []const u8) Value {
        var all = self.entries();
        while (all.next()) |entry| {
            if (entry.key.is(key)) return entry.value;
        }
        return .missing;
    }

    /// The keys of a map and their values, in their order: `while (entries.next()) |entry|`.
    pub inline fn entries(self: Value) Entries {
        const at = self.at orelse return .{ .left = 0, .at = undefined };
        return switch (at[0]) {
            0x80...0x8f => .{ .left = at[0] & 15, .at = at + 1 },
            0xde => .{ .left = read(u16, at + 1), .at = at + 3 },
            0xdf => .{ .left = read(u32, at + 1), .at = at + 5 },
            else => .{ .left = 0, .at = at },
        };
    }

    /// The values of an array.
    pub fn items(self: Value) Items {
        const at = self.at orelse return .{ .left = 0, .at = undefined };
        return switch (at[0]) {
            0x90...0x9f => .{ .left = at[0] & 15, .at = at + 1 },
            0xdc => .{ .left = read(u16, at + 1), .at = at + 3 },
            0xdd => .{ .left = read(u32, at + 1), .at = at + 5 },
            else => .{ .left = 0, .at = at },
        };
    }

    /// Entries of a map, or values of an array; else 0.
    pub fn len(self: Value) usize {
        return if (self.kind() == .map) self.entries().left else self.items().left;
    }

    /// Its msgpack; nothing if it is missing.
    pub fn raw(self: Value) []const u8 {
        const at = self.at orelse return &.{};
        return at[0 .. skip(at) - at];
    }
};

pub const Entry = struct { key: Value, value: Value };

pub const Entries = struct {
    left: usize,
    at: [*]const u8,

    pub inline fn next(self: *Entries) ?Entry {
        if (self.left == 0) return null;
        self.left -= 1;
        const value = skip(self.at);
        defer self.at = skip(value);
        return .{ .key = .{ .at = self.at }, .value = .{ .at = value } };
    }
};

pub const Items = struct {
    left: usize,
    at: [*]const u8,

    pub fn next(self: *Items) ?Value {
        if (self.left == 0) return null;
        self.left -= 1;
        defer self.at = skip(self.at);
        return .{ .at = self.at };
    }
};

/// Bytes that are to be written as such, not as a text.
pub const Binary = struct { bytes: []const u8 };

/// The JSON text of a value, as the host prints it.
pub const Json = struct { msgpack: []const u8 };

/// Where values are written, each as msgpack in its shortest form. What does not fit is noticed when the record ends.
///
/// `write` takes texts (slices and literals), integers, floats, booleans, null, a `Value`, `Binary`, `Json`, optionals, tuples (which
/// become arrays), structs (which become maps), and whatever has a method `encode(self, to: *Writer) void`.
pub const Writer = struct {
    at: [*]u8,
    end: [*]u8,
    full: bool = false,

    inline fn hasRoom(self: *Writer, len: usize) bool {
        if (len <= self.end - self.at) return true;
        self.full = true;
        return false;
    }

    /// Bytes as they are: parts of a text that was begun, or msgpack.
    pub inline fn bytes(self: *Writer, from: []const u8) void {
        if (!self.hasRoom(from.len)) return;
        @memcpy(self.at[0..from.len], from);
        self.at += from.len;
    }

    inline fn number(self: *Writer, mark: u8, comptime T: type, value: T) void {
        var room: [1 + @sizeOf(T)]u8 = undefined;
        room[0] = mark;
        std.mem.writeInt(T, room[1..], value, .big);
        self.bytes(&room);
    }

    fn header(self: *Writer, fixed: u8, most: usize, mark: u8, count: usize) void {
        if (count <= most) {
            self.bytes(&.{fixed | @as(u8, @intCast(count))});
        } else if (fixed == 0xa0 and count < 0x100) {
            self.number(0xd9, u8, @intCast(count));
        } else if (count < 0x10000) {
            self.number(mark, u16, @intCast(count));
        } else {
            self.number(mark + 1, u32, @intCast(count));
        }
    }

    /// A text.
    pub inline fn text(self: *Writer, from: []const u8) void {
        self.header(0xa0, 31, 0xda, from.len);
        self.bytes(from);
    }

    /// The header of a map: as many keys and values must follow.
    pub fn map(self: *Writer, entries: usize) void {
        self.header(0x80, 15, 0xde, entries);
    }

    /// The header of an array: as many values must follow.
    pub fn array(self: *Writer, values: usize) void {
        self.header(0x90, 15, 0xdc, values);
    }

    pub fn uint(self: *Writer, value: u64) void {
        switch (value) {
            0...0x7f => self.bytes(&.{@intCast(value)}),
            0x80...0xff => self.number(0xcc, u8, @intCast(value)),
            0x100...0xffff => self.number(0xcd, u16, @intCast(value)),
            0x10000...0xffffffff => self.number(0xce, u32, @intCast(value)),
            else => self.number(0xcf, u64, value),
        }
    }

    pub fn int(self: *Writer, value: i64) void {
        if (value >= 0) return self.uint(@intCast(value));
        if (value >= -0x20) return self.bytes(&.{@bitCast(@as(i8, @intCast(value)))});
        if (value >= -0x80) return self.number(0xd0, i8, @intCast(value));
        if (value >= -0x8000) return self.number(0xd1, i16, @intCast(value));
        if (value >= -0x80000000) return self.number(0xd2, i32, @intCast(value));
        self.number(0xd3, i64, value);
    }

    /// Begins a text whose length is not known yet: `bytes` follow, and `endText` with what this returns.
    pub fn beginText(self: *Writer) [*]u8 {
        const begin = self.at;
        self.bytes(&.{0});
        return begin;
    }

    pub fn endText(self: *Writer, begin: [*]u8) void {
        if (self.full) return;
        const len = self.at - begin - 1;
        const wider: usize = if (len < 32) 0 else if (len < 0x100) 1 else if (len < 0x10000) 2 else 4;
        if (!self.hasRoom(wider)) return;
        if (wider > 0) @memmove(begin[1 + wider ..][0..len], begin[1..][0..len]);
        self.at = begin;
        self.header(0xa0, 31, 0xda, len);
        self.at += len;
    }

    fn json(self: *Writer, value: Json) void {
        if (!self.hasRoom(5)) return;
        const begin = self.at;
        const room = self.end - begin - 5;
        const len = host.json(value.msgpack.ptr, value.msgpack.len, begin + 5, room);
        if (len > room) {
            self.full = true;
            return;
        }
        self.header(0xa0, 31, 0xda, len);
        if (self.at != begin + 5) @memmove(self.at[0..len], begin[5..][0..len]);
        self.at += len;
    }

    /// A value.
    pub fn write(self: *Writer, value: anytype) void {
        const T = @TypeOf(value);
        switch (T) {
            Value => if (value.exists()) self.bytes(value.raw()) else self.write(null),
            Json => self.json(value),
            Binary => {
                const len = value.bytes.len;
                if (len < 0x100) {
                    self.number(0xc4, u8, @intCast(len));
                } else if (len < 0x10000) {
                    self.number(0xc5, u16, @intCast(len));
                } else {
                    self.number(0xc6, u32, @intCast(len));
                }
                self.bytes(value.bytes);
            },
            else => switch (@typeInfo(T)) {
                .null => self.bytes(&.{0xc0}),
                .bool => self.bytes(&.{if (value) 0xc3 else 0xc2}),
                .int => |of| if (of.signedness == .signed) self.int(value) else self.uint(value),
                .comptime_int => if (value < 0) self.int(value) else self.uint(value),
                .float => |of| if (of.bits == 32)
                    self.number(0xca, u32, @bitCast(value))
                else
                    self.number(0xcb, u64, @bitCast(@as(f64, value))),
                .comptime_float => self.number(0xcb, u64, @bitCast(@as(f64, value))),
                .optional => if (value) |inner| self.write(inner) else self.write(null),
                .pointer => self.text(value),
                .array => self.text(&value),
                .@"struct" => |of| if (comptime std.meta.hasFn(T, "encode")) {
                    value.encode(self);
                } else if (of.is_tuple) {
                    self.array(of.field_names.len);
                    inline for (of.field_names) |name| self.write(@field(value, name));
                } else {
                    self.map(of.field_names.len);
                    inline for (of.field_names) |name| {
                        self.text(name);
                        self.write(@field(value, name));
                    }
                },
                else => @compileError("a record cannot hold a " ++ @typeName(T)),
            },
        }
    }
};

/// When a record happened.
pub const Time = struct {
    /// Seconds since 1970, and nanoseconds below 1,000,000,000.
    sec: u32,
    nsec: u32,

    /// By RFC 3339, in UTC: 2026-11-22T13:49:40.917655454Z.
    pub fn rfc3339(self: Time) [30]u8 {
        // A year is taken to begin in March, so that the leap day is its last: then 400 years are always 146,097 days, and the
        // months before a month have (153 * month + 2) / 5.
        const days = self.sec / 86_400 + 719_468;
        const era = days / 146_097;
        var day = days % 146_097;
        var year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        day -= 365 * year + year / 4 - year / 100;
        var month = (5 * day + 2) / 153;
        day = day - (153 * month + 2) / 5 + 1;
        year += era * 400 + @intFromBool(month >= 10);
        month = if (month < 10) month + 3 else month - 9;
        var all = "0000-00-00T00:00:00.000000000Z".*;
        var at: usize = 0;
        inline for (.{ 4, 2, 2, 2, 2, 2, 9 }, .{
            year, month, day, self.sec / 3_600 % 24, self.sec / 60 % 60, self.sec % 60, self.nsec,
        }) |width, number| {
            var left = number;
            for (0..width) |index| {
                all[at + width - 1 - index] = '0' + @as(u8, @intCast(left % 10));
                left /= 10;
            }
            at += width + 1;
        }
        return all;
    }
};

const Rec = extern struct {
    sec: u32,
    nsec: u32,
    meta: [*]const u8,
    body: [*]const u8,
    end: [*]const u8,
    verdict: u32,
    at: ?[*]const u8,
    len: u32,
};

const StartBlock = extern struct {
    version: u32,
    size: u32,
    config: [*]const u8,
    config_len: u32,
    name: [*]const u8,
    name_len: u32,
    out: [*]u8,
    out_cap: u32,
    reason: ?[*]const u8,
    reason_len: u32,
    flags: u32,
    reserved: u32,
};

const Batch = extern struct {
    version: u32,
    size: u32,
    count: u32,
    next: u32,
    recs: [*]u8,
    rec_size: u32,
    tag: [*]const u8,
    tag_len: u32,
    out: [*]u8,
    out_cap: u32,
    now: u64,
    deadline: u64,
    flags: u32,
    start: *StartBlock,

    fn rec(self: *const Batch, index: u32) *Rec {
        return @ptrCast(@alignCast(self.recs + index * self.rec_size));
    }
};

const Edit = extern struct { kind: u32, key: usize, value: usize, len: u32 };

const Part = extern struct {
    sec: u32,
    nsec: u32,
    meta: ?[*]const u8 = null,
    meta_len: u32 = 0,
    body: ?[*]const u8 = null,
    body_len: u32 = 0,
    tag: ?[*]const u8 = null,
    tag_len: u32 = 0,
};

comptime {
    if (in_wasm) {
        std.debug.assert(@sizeOf(Batch) == 64 and @sizeOf(Rec) == 32 and @sizeOf(StartBlock) == 48);
        std.debug.assert(@sizeOf(Edit) == 16 and @sizeOf(Part) == 32);
    }
}

/// What an edit does; with the high bit set, to the metadata.
const edits = struct {
    const set = 0;
    const append = 1;
    const delete = 2;
    const rename = 3;
    const put = 4;
    const all = 5;
    const time = 6;
    const tag = 7;
    const metadata = 0x80;
};

/// What a filter is told beside the record.
pub const Context = struct {
    batch: *const Batch,

    /// The record's tag.
    pub inline fn tag(self: *const Context) []const u8 {
        return self.batch.tag[0..self.batch.tag_len];
    }

    /// The time, as the agent's clock has it: nanoseconds since 1970.
    pub fn now(self: *const Context) u64 {
        return self.batch.now;
    }

    /// A property of the filter's configuration, a text: `Config.Level` is `config("level")`.
    pub fn config(self: *const Context, key: []const u8) Value {
        return self.start().config(key);
    }

    /// The filter's name in log and metrics.
    pub fn name(self: *const Context) []const u8 {
        return self.start().name();
    }

    fn start(self: *const Context) Start {
        return .{ .block = self.batch.start };
    }
};

/// What a filter is told before its first record.
pub const Start = struct {
    block: *const StartBlock,

    /// As `Context.config`.
    pub fn config(self: Start, key: []const u8) Value {
        return (Value{ .at = self.block.config }).get(key);
    }

    /// As `Context.name`.
    pub fn name(self: Start) []const u8 {
        return self.block.name[0..self.block.name_len];
    }
};

/// The record in hand.
pub const Record = struct {
    rec: *Rec,
    writer: Writer,
    /// Where the next edit or part goes, and where lists end.
    list: [*]u8,
    list_end: [*]u8,
    /// Where this record's edits and values begin.
    first: [*]u8,
    first_value: [*]u8,
    parts: ?u32 = null,
    reason: []const u8 = "",

    /// The whole body, a map.
    pub inline fn body(self: *const Record) Value {
        return .{ .at = self.rec.body };
    }

    /// The metadata, a map, often an empty one.
    pub fn metadata(self: *const Record) Value {
        return .{ .at = self.rec.meta };
    }

    /// When it happened.
    pub fn time(self: *const Record) Time {
        return .{ .sec = self.rec.sec, .nsec = self.rec.nsec };
    }

    /// The body's member of this name; of several the last.
    pub inline fn get(self: *const Record, key: []const u8) Value {
        return self.body().get(key);
    }

    /// The body's JSON text, as a value to be written.
    pub fn json(self: *const Record) Json {
        return .{ .msgpack = self.rec.body[0 .. self.rec.end - self.rec.body] };
    }

    inline fn room(self: *Record, comptime T: type) ?*align(4) T {
        if (self.list_end - self.list < @sizeOf(T)) {
            self.writer.full = true;
            return null;
        }
        defer self.list += @sizeOf(T);
        return @ptrCast(@alignCast(self.list));
    }

    inline fn edit(self: *Record, kind: u32, key: usize, key_len: usize, value: usize, len: usize) void {
        const to = self.room(Edit) orelse return;
        to.* = .{ .kind = kind | @as(u32, @truncate(key_len)) << 8, .key = key, .value = value, .len = @truncate(len) };
    }

    /// Writes the value, and says where it lies.
    inline fn place(self: *Record, value: anytype) []const u8 {
        const begin = self.writer.at;
        self.writer.write(value);
        return begin[0 .. self.writer.at - begin];
    }

    inline fn named(self: *Record, kind: u32, key: []const u8, value: anytype) void {
        const bytes = self.place(value);
        self.edit(kind, @intFromPtr(key.ptr), key.len, @intFromPtr(bytes.ptr), bytes.len);
    }

    /// Sets a member: every one of this name, in its place; if there is none, behind the others.
    pub inline fn set(self: *Record, key: []const u8, value: anytype) void {
        self.named(edits.set, key, value);
    }

    /// Adds a member behind the others, without looking whether there is one of this name: the cheapest way to add.
    pub inline fn append(self: *Record, key: []const u8, value: anytype) void {
        self.named(edits.append, key, value);
    }

    /// Takes every member of this name away.
    pub inline fn delete(self: *Record, key: []const u8) void {
        self.edit(edits.delete, @intFromPtr(key.ptr), key.len, 0, 0);
    }

    /// Gives every member of this name another one.
    pub inline fn rename(self: *Record, key: []const u8, new: []const u8) void {
        self.edit(edits.rename, @intFromPtr(key.ptr), key.len, @intFromPtr(new.ptr), new.len);
    }

    /// As `set`, for the metadata.
    pub fn setMetadata(self: *Record, key: []const u8, value: anytype) void {
        self.named(edits.metadata | edits.set, key, value);
    }

    /// As `delete`, for the metadata.
    pub fn deleteMetadata(self: *Record, key: []const u8) void {
        self.edit(edits.metadata | edits.delete, @intFromPtr(key.ptr), key.len, 0, 0);
    }

    /// Puts another value in the place of one of the record's, at any depth, in its body or its metadata. Where there is none
    /// nothing happens. A value may be replaced alone or with the one that it is in, but not both.
    pub inline fn put(self: *Record, old: Value, value: anytype) void {
        const at = old.at orelse return;
        const in_body = @intFromPtr(at) >= @intFromPtr(self.rec.body);
        const bytes = self.place(value);
        const from = if (in_body) self.rec.body else self.rec.meta;
        const kind: u32 = if (in_body) edits.put else edits.put | edits.metadata;
        self.edit(kind, at - from, 0, @intFromPtr(bytes.ptr), bytes.len);
        if (!self.writer.full) self.sortPut();
    }

    /// The ABI wants puts in the order in which the values stand, and one for each; so the last one is moved to where it belongs.
    fn sortPut(self: *Record) void {
        const first: [*]Edit = @ptrCast(@alignCast(self.first));
        const last = (self.list - self.first) / @sizeOf(Edit) - 1;
        const mine = first[last];
        var to = last;
        var index = last;
        while (index > 0) {
            index -= 1;
            const other = &first[index];
            if (other.kind != mine.kind) continue;
            if (other.key < mine.key) break;
            if (other.key == mine.key) {
                other.* = mine;
                self.list -= @sizeOf(Edit);
                return;
            }
            to = index;
        }
        index = last;
        while (index > to) : (index -= 1) first[index] = first[index - 1];
        first[to] = mine;
    }

    /// Puts a map in the place of the whole body. Other edits of the body cannot stand beside it.
    pub inline fn replace(self: *Record, value: anytype) void {
        const bytes = self.place(value);
        self.edit(edits.all, 0, 0, @intFromPtr(bytes.ptr), bytes.len);
    }

    /// Gives it another time.
    pub fn setTime(self: *Record, new: Time) void {
        self.edit(edits.time, new.sec, 0, new.nsec, 0);
    }

    /// Lets it go on under another tag.
    pub fn setTag(self: *Record, tag: []const u8) void {
        const begin = self.writer.at;
        self.writer.bytes(tag);
        self.edit(edits.tag, 0, 0, @intFromPtr(begin), tag.len);
    }

    /// Makes it a failure: `return record.fail("no user")`. The text is copied.
    pub fn fail(self: *Record, why: []const u8) Verdict {
        const begin = self.writer.at;
        self.writer.bytes(why);
        self.reason = begin[0 .. self.writer.at - begin];
        return .fail;
    }

    /// From here on the record becomes several, or none: the parts that are added, in their order. Its edits are forgotten.
    pub fn split(self: *Record) void {
        self.list = self.first;
        self.parts = 0;
    }

    /// One more part, which is as the record came, but for what is said here: `.time`, `.tag`, and the maps `.metadata` and `.body`.
    pub fn add(self: *Record, part: anytype) void {
        const to = self.room(Part) orelse return;
        self.parts = (self.parts orelse 0) + 1;
        to.* = .{ .sec = self.rec.sec, .nsec = self.rec.nsec };
        if (@hasField(@TypeOf(part), "time")) {
            const new: Time = part.time;
            to.sec = new.sec;
            to.nsec = new.nsec;
        }
        if (@hasField(@TypeOf(part), "tag")) {
            const tag: []const u8 = part.tag;
            to.tag = self.writer.at;
            to.tag_len = @truncate(tag.len);
            self.writer.bytes(tag);
        }
        inline for (.{ "metadata", "body" }, .{ "meta", "body" }) |name, field| {
            if (@hasField(@TypeOf(part), name)) {
                const bytes = self.map(@field(part, name));
                @field(to, field) = bytes.ptr;
                @field(to, field ++ "_len") = @truncate(bytes.len);
            }
        }
    }

    /// Where a part's map lies: a value of the record's is not copied.
    inline fn map(self: *Record, value: anytype) []const u8 {
        return if (@TypeOf(value) == Value) value.raw() else self.place(value);
    }

    /// Calls `visit(record, key, value) bool` for every value of the body, at any depth and in the order in which they stand, with the
    /// key that it stands under; what is in an array has none. It answers whether to go into the value.
    pub inline fn walk(self: *Record, comptime visit: fn (*Record, Value, Value) bool) void {
        _ = self.inside(self.rec.body, visit);
    }

    fn inside(self: *Record, begin: [*]const u8, comptime visit: fn (*Record, Value, Value) bool) [*]const u8 {
        const found = head(begin);
        const is_map = (Value{ .at = begin }).kind() == .map;
        var at = begin + found.header + found.bytes;
        var left = found.values;
        var key: Value = .missing;
        while (left > 0) {
            left -= 1;
            if (is_map and left % 2 == 1) {
                key = .{ .at = at };
                at = skip(at);
            } else if (visit(self, key, .{ .at = at })) {
                at = self.inside(at, visit);
            } else {
                at = skip(at);
            }
        }
        return at;
    }
};

/// At the end of the scratch memory, for the last words of a panic.
const last_words = 1024;

/// The blocks in hand, for whoever panics.
var batch_in_hand: ?*Batch = null;
var start_in_hand: ?*StartBlock = null;

inline fn run(batch: *Batch, comptime decide: fn (*Record, *const Context) Verdict) u32 {
    batch_in_hand = batch;
    const context: Context = .{ .batch = batch };
    const next: *volatile u32 = &batch.next;
    const room = (batch.out_cap - last_words) & ~@as(u32, 15);
    const lists = batch.out + (room / 4 * 3 & ~@as(u32, 15));
    var record: Record = .{
        .rec = undefined,
        .writer = .{ .at = batch.out, .end = lists },
        .list = lists,
        .list_end = batch.out + room,
        .first = lists,
        .first_value = batch.out,
    };
    const count = batch.count;
    for (batch.next..count) |index| {
        // What was decided before must be in memory before.
        barrier();
        next.* = @truncate(index);
        record.rec = batch.rec(@truncate(index));
        record.first = record.list;
        record.first_value = record.writer.at;
        record.parts = null;
        const verdict = decide(&record, &context);
        if (verdict != .drop and record.writer.full) return 1;
        const rec = record.rec;
        switch (verdict) {
            .drop => {
                record.list = record.first;
                record.writer.at = record.first_value;
                record.writer.full = false;
                rec.verdict = 1;
            },
            .fail => {
                rec.at = record.reason.ptr;
                rec.len = @truncate(record.reason.len);
                rec.verdict = 5;
            },
            .keep => if (record.parts) |parts| {
                rec.at = record.first;
                rec.len = parts;
                rec.verdict = 4;
            } else if (record.list != record.first) {
                rec.at = record.first;
                rec.len = @truncate((record.list - record.first) / @sizeOf(Edit));
                rec.verdict = 2;
            },
        }
    }
    barrier();
    next.* = count;
    return 0;
}

inline fn barrier() void {
    asm volatile ("" ::: .{ .memory = true });
}

/// Exports the function as a filter of this name.
pub fn filter(comptime name: []const u8, comptime decide: fn (*Record, *const Context) Verdict) void {
    const exported = struct {
        fn call(batch: *Batch) callconv(.c) u32 {
            return run(batch, decide);
        }
    };
    @export(&exported.call, .{ .name = name });
}

/// Has the function called once, before the first record; null, or why the filter cannot start.
pub fn start(comptime function: fn (Start) ?[]const u8) void {
    const exported = struct {
        fn call(block: *StartBlock) callconv(.c) u32 {
            start_in_hand = block;
            defer start_in_hand = null;
            const why = function(.{ .block = block }) orelse return 0;
            block.reason = why.ptr;
            block.reason_len = @truncate(why.len);
            return 1;
        }
    };
    @export(&exported.call, .{ .name = "flb_start" });
}

fn marker() callconv(.c) void {}
comptime {
    @export(&marker, .{ .name = "flb_batch_1" });
}

/// For the root file, `pub const panic = flb.panic`: a panic's message is the failure's. The record in hand is lost to it, and no other.
pub const panic = std.debug.FullPanic(lastWords);

fn lastWords(message: []const u8, _: ?usize) noreturn {
    if (start_in_hand) |block| {
        block.reason = message.ptr;
        block.reason_len = @truncate(message.len);
    } else if (batch_in_hand) |batch| {
        const len = @min(message.len, last_words);
        const words = batch.out + (batch.out_cap - last_words);
        @memcpy(words[0..len], message[0..len]);
        const rec = batch.rec(batch.next);
        rec.at = words;
        rec.len = @truncate(len);
        const verdict: *volatile u32 = &rec.verdict;
        verdict.* = 5;
    }
    @trap();
}

/// How much a line of the log matters.
pub const Level = enum(u32) { @"error" = 1, warn, info, debug, trace };

/// Writes a line to the agent's log, under the filter's name.
pub fn log(level: Level, line: []const u8) void {
    host.log(@intFromEnum(level), line.ptr, line.len);
}

/// SHA-256.
pub fn sha256(data: []const u8) [32]u8 {
    var digest: [32]u8 = undefined;
    host.sha256(data.ptr, data.len, &digest);
    return digest;
}

const unknown = std.math.maxInt(u32) - 1;

/// A counter among the agent's metrics, with the filter's name beside its own: `var seen: flb.Counter = .{ .name = "seen" };`.
pub const Counter = struct {
    name: []const u8,
    number: u32 = unknown,

    pub fn add(self: *Counter, by: u64) void {
        if (self.number == unknown) self.number = host.counter(self.name.ptr, self.name.len);
        host.add(self.number, by);
    }
};

/// A histogram among the agent's metrics, with buckets up to the bounds, which ascend, and one for the rest.
pub const Histogram = struct {
    name: []const u8,
    bounds: []const f64,
    number: u32 = unknown,

    pub fn observe(self: *Histogram, value: f64) void {
        if (self.number == unknown) {
            self.number = host.histogram(self.name.ptr, self.name.len, self.bounds.ptr, self.bounds.len);
        }
        host.observe(self.number, value);
    }
};

/// What the host does: module flb.
const host = if (in_wasm) struct {
    extern "flb" fn json(value: [*]const u8, len: usize, to: [*]u8, room: usize) usize;
    extern "flb" fn sha256(data: [*]const u8, len: usize, to: [*]u8) void;
    extern "flb" fn log(level: u32, text: [*]const u8, len: usize) void;
    extern "flb" fn counter(name: [*]const u8, len: usize) u32;
    extern "flb" fn add(number: u32, by: u64) void;
    extern "flb" fn histogram(name: [*]const u8, len: usize, bounds: [*]const f64, count: usize) u32;
    extern "flb" fn observe(number: u32, value: f64) void;
} else stand_ins;

/// In native tests nobody counts, the log is nobody's, and JSON texts are empty.
const stand_ins = struct {
    fn json(_: [*]const u8, _: usize, _: [*]u8, _: usize) usize {
        return 0;
    }
    fn sha256(data: [*]const u8, len: usize, to: [*]u8) void {
        std.crypto.hash.sha2.Sha256.hash(data[0..len], to[0..32], .{});
    }
    fn log(_: u32, _: [*]const u8, _: usize) void {}
    fn counter(_: [*]const u8, _: usize) u32 {
        return 0;
    }
    fn add(_: u32, _: u64) void {}
    fn histogram(_: [*]const u8, _: usize, _: [*]const f64, _: usize) u32 {
        return 0;
    }
    fn observe(_: u32, _: f64) void {}
};

test "integers are exact in every form" {
    for ([_]struct { []const u8, ?i64, ?u64 }{
        .{ "\x7f", 127, 127 },
        .{ "\xe0", -32, null },
        .{ "\xcd\xff\xff", 65_535, 65_535 },
        .{ "\xd1\x80\x00", -32_768, null },
        .{ "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", null, std.math.maxInt(u64) },
        .{ "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", std.math.minInt(i64), null },
        .{ "\xca\x00\x00\x00\x00", null, null },
    }) |case| {
        const value: Value = .{ .at = case[0].ptr };
        try std.testing.expectEqual(case[1], value.asInt());
        try std.testing.expectEqual(case[2], value.asUint());
    }
}

test "of a name that comes twice the last is read" {
    const value: Value = .{ .at = "\x83\xa1a\x01\xa1b\x02\xd9\x01a\x03" };
    try std.testing.expectEqual(3, value.get("a").asInt());
    try std.testing.expectEqual(1, value.first("a").asInt());
    try std.testing.expect(!value.get("b").get("c").exists());
}

test "values take their shortest form" {
    var room: [256]u8 = undefined;
    var to: Writer = .{ .at = &room, .end = room[256..].ptr };
    to.write(.{ .a = .{ 1, -1, 200, 1.5, true, null }, .b = "text" });
    const wanted = "\x82\xa1a\x96\x01\xff\xcc\xc8\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xc3\xc0\xa1b\xa4text";
    try std.testing.expectEqualStrings(wanted, room[0 .. to.at - &room]);
}

test "days are dated" {
    const time: Time = .{ .sec = 1_795_355_380, .nsec = 917_655_454 };
    try std.testing.expectEqualStrings("2026-11-22T13:49:40.917655454Z", &time.rfc3339());
    try std.testing.expectEqualStrings("2000-02-29", (Time{ .sec = 951_782_400, .nsec = 0 }).rfc3339()[0..10]);
}
