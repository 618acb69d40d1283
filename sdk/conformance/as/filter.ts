// The filters of the conformance suite, in AssemblyScript. README.md in the folder above says what each one does.

import {
  Context, Kind, Level, Record, Start, Value, Verdict, Writer, add, counter, histogram, log, observe, run, sha256,
} from "../../../sdk/assemblyscript/flb_filter";
export { flb_batch_1 } from "../../../sdk/assemblyscript/flb_filter";

let seen: u32, sizes: u32;

export function flb_start(block: usize): u32 {
  const start = changetype<Start>(block);
  seen = counter("seen");
  sizes = histogram("sizes", [2, 10]);
  return start.config("refuse").exists ? start.refuse("told to refuse") : 0;
}

export function keep(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => Verdict.Keep);
}

export function drop_debug(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    return record.get("level").is("debug") ? Verdict.Drop : Verdict.Keep;
  });
}

export function grep(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const level = record.get("level");
    const isBad = level.is("warn") || level.is("error");
    return isBad && record.get("status").int() >= 400 ? Verdict.Keep : Verdict.Drop;
  });
}

export function append(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.append("env", "production");
    return Verdict.Keep;
  });
}

const RAW = memory.data<u8>([0, 255]);

export function set(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.set("level", "notice");
    record.set("n", -129);
    record.set("big", u64.MAX_VALUE);
    record.set("half", 0.5);
    record.set("yes", true);
    record.setNil("none");
    const raw = Writer.begin();
    Writer.binary(RAW, 2);
    record.set("raw", raw);
    return Verdict.Keep;
  });
}

export function forget(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.delete("id");
    return Verdict.Keep;
  });
}

export function name(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.rename("svc", "service");
    return Verdict.Keep;
  });
}

export function mend(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const http = record.get("http"), path = http.get("path"), status = http.get("status");
    const next = Writer.begin();
    if (status.isInt) Writer.int(status.int() + 1);
    else Writer.nil();
    record.put(status, next);
    record.put(path, "first");
    record.set("mended", true);
    record.put(path, "/");
    return Verdict.Keep;
  });
}

export function wrap(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const map = Writer.begin();
    Writer.map(3);
    Writer.text("tags");
    Writer.array(1);
    Writer.value(ctx.tag);
    Writer.text("message");
    Writer.value(record.get("message"));
    Writer.text("n");
    Writer.uint(record.body.length);
    record.replace(map);
    return Verdict.Keep;
  });
}

export function split(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const items = record.get("items");
    record.split();
    if (items.kind != Kind.Array) return Verdict.Keep;
    let item = items.inside;
    for (let i: u32 = 0, count = <u32>items.length; i < count; i++, item = item.next) {
      const part = record.add();
      part.sec += i;
      part.tag = "item";
      part.body = item;
      const metadata = Writer.begin();
      Writer.map(1);
      Writer.text("i");
      Writer.uint(i);
      part.metadata = metadata;
    }
    return Verdict.Keep;
  });
}

export function refuse(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    if (record.get("user").exists) return Verdict.Keep;
    const why = Writer.beginText();
    Writer.push("no user in ");
    Writer.pushBytes(ctx.tag.bytes, ctx.tag.byteLength);
    Writer.endText(why);
    return record.failWith(why);
  });
}

export function crash(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    assert(!record.get("crash").exists, "as asked");
    return Verdict.Keep;
  });
}

export function enrich(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.set("tag", ctx.tag);
    record.set("time", record.rfc3339());
    record.set("original", record.json());
    return Verdict.Keep;
  });
}

export function redact(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    walk(record, record.body);
    return Verdict.Keep;
  });
}

function walk(record: Record, list: Value): void {
  const isMap = list.kind == Kind.Map;
  let at = list.inside;
  for (let left = list.length; left > 0; left--, at = at.next) {
    if (isMap) {
      const isHidden = isSecret(at);
      at = at.next;
      if (isHidden) {
        record.put(at, "***");
        continue;
      }
    }
    const kind = at.kind;
    if (kind == Kind.Text) mask(record, at);
    else if (kind == Kind.Map || kind == Kind.Array) walk(record, at);
  }
}

function isSecret(key: Value): bool {
  if (key.kind != Kind.Text) return false;
  const at = key.bytes;
  switch (<i32>key.byteLength) {
    case 5: return equals(at, "token");
    case 6: return equals(at, "cookie");
    case 8: return equals(at, "password");
  }
  return false;
}

/** Whether the letters are the text's, large ones taken for small ones. */
function equals(at: usize, text: string): bool {
  for (let i = 0; i < text.length; i++) {
    const letter = <i32>load<u8>(at + i), small = letter >= 0x41 && letter <= 0x5a ? letter + 32 : letter;
    if (small != text.charCodeAt(i)) return false;
  }
  return true;
}

/** Everything beyond ASCII is a letter. */
function isLetter(c: u32): bool {
  return c >= 0x80 || ((c | 32) >= 0x61 && (c | 32) <= 0x7a) || (c >= 0x30 && c <= 0x39);
}

function isName(c: u32): bool {
  return isLetter(c) || c == 0x2e || c == 0x5f || c == 0x25 || c == 0x2b || c == 0x2d;
}

/** `from jane.doe@example.com` -> `from ***@example.com` */
function mask(record: Record, text: Value): void {
  const begin = text.bytes, end = begin + text.byteLength;
  let at = begin;
  while (at < end && load<u8>(at) != 0x40) at++;
  if (at == end) return;
  const masked = Writer.beginText();
  let rest = begin;
  for (; at < end; at++) {
    if (load<u8>(at) != 0x40) continue;
    let first = at;
    while (first > rest && isName(load<u8>(first - 1))) first--;
    if (first < at && at + 1 < end && isLetter(load<u8>(at + 1))) {
      Writer.pushBytes(rest, first - rest);
      Writer.push("***@");
    } else {
      Writer.pushBytes(rest, at + 1 - rest);
    }
    rest = at + 1;
  }
  Writer.pushBytes(rest, end - rest);
  Writer.endText(masked);
  record.put(text, masked);
}

export function configured(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const env = ctx.config("env");
    if (env.exists) record.set("env", env);
    else record.setNil("env");
    return Verdict.Keep;
  });
}

const KINDS: StaticArray<string> = [
  "missing ", "nil ", "bool ", "int ", "float ", "text ", "binary ", "extension ", "array ", "map ",
];

export function kinds(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const map = Writer.begin();
    Writer.map(1);
    Writer.text("kinds");
    const text = Writer.beginText();
    let value = record.body.inside.next;
    for (let left = record.body.length; left > 0; left--) {
      Writer.push(KINDS[value.kind]);
      if (left > 1) value = value.next.next;
    }
    Writer.endText(text);
    record.replace(map);
    return Verdict.Keep;
  });
}

/** A value that is read and written again takes its shortest form. */
function copyValue(value: Value): void {
  let at = value.inside;
  switch (value.kind) {
    case Kind.Missing: case Kind.Nil: Writer.nil(); break;
    case Kind.Bool: Writer.bool(value.isTrue); break;
    case Kind.Int:
      if (value.isInt) Writer.int(value.int());
      else Writer.uint(value.uint());
      break;
    case Kind.Float: Writer.float(value.float()); break;
    case Kind.Text: Writer.textOf(value.bytes, value.byteLength); break;
    case Kind.Binary: Writer.binary(value.bytes, value.byteLength); break;
    case Kind.Extension: Writer.value(value); break;
    case Kind.Array:
      Writer.array(value.length);
      for (let left = value.length; left > 0; left--, at = at.next) copyValue(at);
      break;
    case Kind.Map:
      Writer.map(value.length);
      for (let left: usize = 2 * value.length; left > 0; left--, at = at.next) copyValue(at);
      break;
  }
}

export function copy(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const map = Writer.begin();
    copyValue(record.body);
    record.replace(map);
    return Verdict.Keep;
  });
}

export function ends(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    let value = Writer.begin();
    Writer.value(record.body.getFirst("level"));
    record.set("first", value);
    value = Writer.begin();
    Writer.value(record.get("level"));
    record.set("last", value);
    return Verdict.Keep;
  });
}

export function meta(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.put(record.metadata.get("n"), "changed");
    record.setMetadata("seen", true);
    record.deleteMetadata("secret");
    return Verdict.Keep;
  });
}

export function move_on(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    record.setTag("moved");
    record.setTime(record.sec + 1, 7);
    return Verdict.Keep;
  });
}

const DIGEST = memory.data(64);

export function digest(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    sha256(record.body.address, record.body.size, DIGEST);
    const text = Writer.beginText();
    for (let i: usize = 0; i < 32; i++) {
      const byte = load<u8>(DIGEST + i);
      store<u8>(DIGEST + 32, <u8>"0123456789abcdef".charCodeAt(byte >> 4));
      store<u8>(DIGEST + 33, <u8>"0123456789abcdef".charCodeAt(byte & 15));
      Writer.pushBytes(DIGEST + 32, 2);
    }
    Writer.endText(text);
    record.set("sha256", text);
    return Verdict.Keep;
  });
}

export function count(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    add(seen, 1);
    observe(sizes, <f64>record.body.length);
    log(Level.Info, "counted");
    return Verdict.Keep;
  });
}

export function grow(batch: usize): u32 {
  return run(batch, (record: Record, ctx: Context): Verdict => {
    const text = Writer.beginText();
    for (let left = record.get("size").uint(); left > 0; left--) Writer.push("x");
    Writer.endText(text);
    record.append("big", text);
    return Verdict.Keep;
  });
}
