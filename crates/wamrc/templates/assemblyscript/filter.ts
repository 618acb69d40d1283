// The filter {{name}}: drops what is only for debugging, takes passwords away, says where a record came from.

import { Context, Record, Verdict, run } from "./sdk/flb_filter";
export { flb_batch_1 } from "./sdk/flb_filter";

export function filter(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    if (record.get("level").is("debug")) return Verdict.Drop;
    record.delete("password");
    record.set("tag", ctx.tag);
    return Verdict.Keep;
  });
}
