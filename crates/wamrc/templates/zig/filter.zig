//! The filter {{name}}: drops what is only for debugging, takes passwords away, says where a record came from.

const flb = @import("flb_filter");

pub const panic = flb.panic;

fn filter(record: *flb.Record, ctx: *const flb.Context) flb.Verdict {
    if (record.get("level").is("debug")) return .drop;
    record.delete("password");
    record.set("tag", ctx.tag());
    return .keep;
}

comptime {
    flb.filter("filter", filter);
}
