//! A log filter in Zig: adds to every record the language it was seen by, its tag, its time in words and its original text.
//!
//!     zig build-exe -target wasm32-freestanding -fno-entry -rdynamic -O ReleaseFast -fstrip --dep flb_filter \
//!         -Mroot=filter.zig -Mflb_filter=../../../sdk/zig/flb_filter.zig -femit-bin=../enrich-zig.wasm

const flb = @import("flb_filter");

pub const panic = flb.panic;

fn enrich(record: *flb.Record, ctx: *const flb.Context) flb.Verdict {
    record.set("lang", "Zig");
    record.set("tag", ctx.tag());
    record.set("time", record.time().rfc3339());
    record.set("original", record.json());
    return .keep;
}

comptime {
    flb.filter("enrich", enrich);
}
