// A log filter in AssemblyScript: adds to every record the language it was seen by, its tag, its time in words and its original text.
//
//     asc filter.ts -O3 --runtime stub --use abort=../../../sdk/assemblyscript/flb_filter/flbAbort -o ../enrich-as.wasm

import { Context, Record, Verdict, run } from "../../../sdk/assemblyscript/flb_filter";
export { flb_batch_1 } from "../../../sdk/assemblyscript/flb_filter";

export function enrich(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.set("lang", "AssemblyScript");
    record.set("tag", ctx.tag);
    record.set("time", record.rfc3339());
    record.set("original", record.json());
    return Verdict.Keep;
  });
}
