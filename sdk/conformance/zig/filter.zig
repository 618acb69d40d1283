//! The filters of the conformance suite, in Zig. README.md in the folder above says what each one does.

const std = @import("std");
const flb = @import("flb_filter");
const Record = flb.Record;
const Context = flb.Context;
const Verdict = flb.Verdict;
const Value = flb.Value;

pub const panic = flb.panic;

fn start(block: flb.Start) ?[]const u8 {
    return if (block.config("refuse").exists()) "told to refuse" else null;
}

fn keep(_: *Record, _: *const Context) Verdict {
    return .keep;
}

fn dropDebug(record: *Record, _: *const Context) Verdict {
    return if (record.get("level").is("debug")) .drop else .keep;
}

fn grep(record: *Record, _: *const Context) Verdict {
    const level = record.get("level");
    if (!level.is("warn") and !level.is("error")) return .drop;
    const status = record.get("status").asInt() orelse return .drop;
    return if (status >= 400) .keep else .drop;
}

fn append(record: *Record, _: *const Context) Verdict {
    record.append("env", "production");
    return .keep;
}

fn set(record: *Record, _: *const Context) Verdict {
    record.set("level", "notice");
    record.set("n", -129);
    record.set("big", std.math.maxInt(u64));
    record.set("half", 0.5);
    record.set("yes", true);
    record.set("none", null);
    record.set("raw", flb.Binary{ .bytes = "\x00\xff" });
    return .keep;
}

fn forget(record: *Record, _: *const Context) Verdict {
    record.delete("id");
    return .keep;
}

fn name(record: *Record, _: *const Context) Verdict {
    record.rename("svc", "service");
    return .keep;
}

fn mend(record: *Record, _: *const Context) Verdict {
    const http = record.get("http");
    const path = http.get("path");
    const status = http.get("status");
    record.put(status, if (status.asInt()) |number| @as(?i64, number + 1) else null);
    record.put(path, "first");
    record.set("mended", true);
    record.put(path, "/");
    return .keep;
}

fn wrap(record: *Record, ctx: *const Context) Verdict {
    record.replace(.{ .tags = .{ctx.tag()}, .message = record.get("message"), .n = record.body().len() });
    return .keep;
}

fn split(record: *Record, _: *const Context) Verdict {
    var items = record.get("items").items();
    const time = record.time();
    record.split();
    var index: u32 = 0;
    while (items.next()) |item| : (index += 1) {
        record.add(.{
            .body = item,
            .time = flb.Time{ .sec = time.sec + index, .nsec = time.nsec },
            .tag = "item",
            .metadata = .{ .i = index },
        });
    }
    return .keep;
}

fn refuse(record: *Record, ctx: *const Context) Verdict {
    if (record.get("user").exists()) return .keep;
    var why: [256]u8 = undefined;
    return record.fail(std.fmt.bufPrint(&why, "no user in {s}", .{ctx.tag()}) catch "no user");
}

fn crash(record: *Record, _: *const Context) Verdict {
    if (record.get("crash").exists()) @panic("as asked");
    return .keep;
}

fn enrich(record: *Record, ctx: *const Context) Verdict {
    record.set("tag", ctx.tag());
    record.set("time", record.time().rfc3339());
    record.set("original", record.json());
    return .keep;
}

fn redact(record: *Record, _: *const Context) Verdict {
    record.walk(redactValue);
    return .keep;
}

fn redactValue(record: *Record, key: Value, value: Value) bool {
    if (key.asText()) |text| {
        if (isSecret(text)) {
            record.put(value, "***");
            return false;
        }
    }
    if (value.asText()) |text| {
        if (std.mem.findScalar(u8, text, '@') != null) record.put(value, Masked{ .text = text });
    }
    return true;
}

fn isSecret(key: []const u8) bool {
    for ([_][]const u8{ "cookie", "password", "token" }) |secret| {
        if (std.ascii.eqlIgnoreCase(key, secret)) return true;
    }
    return false;
}

/// Everything beyond ASCII is a letter.
fn isLetter(byte: u8) bool {
    return std.ascii.isAlphanumeric(byte) or byte >= 0x80;
}

fn isName(byte: u8) bool {
    return isLetter(byte) or std.mem.findScalar(u8, "._%+-", byte) != null;
}

/// `from jane.doe@example.com` -> `from ***@example.com`
const Masked = struct {
    text: []const u8,

    pub fn encode(self: Masked, to: *flb.Writer) void {
        const begin = to.beginText();
        var rest = self.text;
        while (std.mem.findScalar(u8, rest, '@')) |at| {
            var first = at;
            while (first > 0 and isName(rest[first - 1])) first -= 1;
            const behind = rest[at + 1 ..];
            if (first < at and behind.len > 0 and isLetter(behind[0])) {
                to.bytes(rest[0..first]);
                to.bytes("***@");
            } else {
                to.bytes(rest[0 .. at + 1]);
            }
            rest = behind;
        }
        to.bytes(rest);
        to.endText(begin);
    }
};

fn configured(record: *Record, ctx: *const Context) Verdict {
    record.set("env", ctx.config("env"));
    return .keep;
}

const Kinds = struct {
    body: Value,

    pub fn encode(self: Kinds, to: *flb.Writer) void {
        const begin = to.beginText();
        var entries = self.body.entries();
        while (entries.next()) |entry| {
            to.bytes(@tagName(entry.value.kind()));
            to.bytes(" ");
        }
        to.endText(begin);
    }
};

fn kinds(record: *Record, _: *const Context) Verdict {
    record.replace(.{ .kinds = Kinds{ .body = record.body() } });
    return .keep;
}

/// A value that is read and written again, so that it takes its shortest form.
const Copied = struct {
    value: Value,

    pub fn encode(self: Copied, to: *flb.Writer) void {
        const value = self.value;
        switch (value.kind()) {
            .missing, .nil => to.write(null),
            .bool => to.write(value.asBool()),
            .int => if (value.asInt()) |number| to.write(number) else to.write(value.asUint()),
            .float => to.write(value.asFloat()),
            .text => to.write(value.asText()),
            .binary => to.write(flb.Binary{ .bytes = value.asBinary().? }),
            .extension => to.write(value),
            .array => {
                to.array(value.len());
                var items = value.items();
                while (items.next()) |item| to.write(Copied{ .value = item });
            },
            .map => {
                to.map(value.len());
                var entries = value.entries();
                while (entries.next()) |entry| {
                    to.write(Copied{ .value = entry.key });
                    to.write(Copied{ .value = entry.value });
                }
            },
        }
    }
};

fn copy(record: *Record, _: *const Context) Verdict {
    record.replace(Copied{ .value = record.body() });
    return .keep;
}

fn ends(record: *Record, _: *const Context) Verdict {
    record.set("first", record.body().first("level"));
    record.set("last", record.get("level"));
    return .keep;
}

fn meta(record: *Record, _: *const Context) Verdict {
    record.put(record.metadata().get("n"), "changed");
    record.setMetadata("seen", true);
    record.deleteMetadata("secret");
    return .keep;
}

fn moveOn(record: *Record, _: *const Context) Verdict {
    record.setTag("moved");
    record.setTime(.{ .sec = record.time().sec + 1, .nsec = 7 });
    return .keep;
}

fn digest(record: *Record, _: *const Context) Verdict {
    record.set("sha256", std.fmt.bytesToHex(flb.sha256(record.body().raw()), .lower));
    return .keep;
}

var seen: flb.Counter = .{ .name = "seen" };
var sizes: flb.Histogram = .{ .name = "sizes", .bounds = &.{ 2, 10 } };

fn count(record: *Record, _: *const Context) Verdict {
    seen.add(1);
    sizes.observe(@floatFromInt(record.body().len()));
    flb.log(.info, "counted");
    return .keep;
}

const Row = struct {
    len: u64,

    pub fn encode(self: Row, to: *flb.Writer) void {
        const begin = to.beginText();
        for (0..@intCast(self.len)) |_| to.bytes("x");
        to.endText(begin);
    }
};

fn grow(record: *Record, _: *const Context) Verdict {
    record.append("big", Row{ .len = record.get("size").asUint() orelse 0 });
    return .keep;
}

comptime {
    flb.start(start);
    for (.{
        .{ "keep", keep },             .{ "drop_debug", dropDebug }, .{ "grep", grep },
        .{ "append", append },         .{ "set", set },              .{ "forget", forget },
        .{ "name", name },             .{ "mend", mend },            .{ "wrap", wrap },
        .{ "split", split },           .{ "refuse", refuse },        .{ "crash", crash },
        .{ "enrich", enrich },         .{ "redact", redact },        .{ "configured", configured },
        .{ "kinds", kinds },           .{ "copy", copy },            .{ "ends", ends },
        .{ "meta", meta },             .{ "move_on", moveOn },       .{ "digest", digest },
        .{ "count", count },           .{ "grow", grow },
    }) |row| flb.filter(row[0], row[1]);
}
