/**
 * Log filters in AssemblyScript, which run as WebAssembly in flb-agent: a function that is given a record, and says what becomes of it.
 *
 *     import { Context, Record, Verdict, run } from "./flb_filter";
 *     export { flb_batch_1 } from "./flb_filter";
 *
 *     export function hide(batch: usize): u32 {
 *       return run(batch, (record: Record, ctx: Context): Verdict => {
 *         if (record.get("level").is("debug")) return Verdict.Drop;
 *         record.set("tag", ctx.tag);
 *         return Verdict.Keep;
 *       });
 *     }
 *
 *     asc hide.ts -O3 --runtime stub --use abort=flb_filter/flbAbort -o hide.wasm
 *
 * The exported name is the filter's Function_Name; a module may have several. Nothing here allocates: records are read where the host
 * put them, answers are written into memory that it lends. So `--runtime stub` will do, unless the filter makes strings or objects of its
 * own: then `incremental`. What is read is the record as it came: edits change what leaves. Of keys that come twice the last one is
 * read; edits take all of a name.
 */

/** What becomes of a record: it goes on, with its edits or in parts; it ends here; it is a failure, see `Record.fail`. */
export enum Verdict { Keep, Drop, Fail }

/** What a value is. */
export enum Kind { Missing, Nil, Bool, Int, Float, Text, Binary, Extension, Array, Map }

// @ts-ignore: decorator
@inline function be16(at: usize): u32 { return bswap<u16>(load<u16>(at)); }
// @ts-ignore: decorator
@inline function be32(at: usize): u32 { return bswap<u32>(load<u32>(at)); }
// @ts-ignore: decorator
@inline function be64(at: usize): u64 { return bswap<u64>(load<u64>(at)); }

/** How long a value's header is, and how many bytes and values follow: the result of `readHead`. */
let header: usize, bytes: usize, values: usize;

function readHead(at: usize): void {
  const mark = <u32>load<u8>(at);
  header = 1; bytes = 0; values = 0;
  if (mark < 0x80 || mark >= 0xe0) return;
  if (mark < 0x90) { values = 2 * (mark & 15); return; }
  if (mark < 0xa0) { values = mark & 15; return; }
  if (mark < 0xc0) { bytes = mark & 31; return; }
  switch (mark) {
    case 0xcc: case 0xd0: bytes = 1; break;
    case 0xcd: case 0xd1: bytes = 2; break;
    case 0xca: case 0xce: case 0xd2: bytes = 4; break;
    case 0xcb: case 0xcf: case 0xd3: bytes = 8; break;
    case 0xc4: case 0xd9: header = 2; bytes = load<u8>(at, 1); break;
    case 0xc5: case 0xda: header = 3; bytes = be16(at + 1); break;
    case 0xc6: case 0xdb: header = 5; bytes = be32(at + 1); break;
    case 0xc7: header = 3; bytes = load<u8>(at, 1); break;
    case 0xc8: header = 4; bytes = be16(at + 1); break;
    case 0xc9: header = 6; bytes = be32(at + 1); break;
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: header = 2; bytes = 1 << (mark - 0xd4); break;
    case 0xdc: header = 3; values = be16(at + 1); break;
    case 0xdd: header = 5; values = be32(at + 1); break;
    case 0xde: header = 3; values = 2 * be16(at + 1); break;
    case 0xdf: header = 5; values = 2 * be32(at + 1); break;
  }
}

/** Bytes of the values whose first byte is from 0xc0 to 0xdf, where that byte says it all. */
const LENGTHS = memory.data<u8>([
  1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18, 0, 0, 0, 0, 0, 0, 0,
]);

/** What follows the value. */
// @ts-ignore: decorator
@inline function skip(at: usize): usize {
  const mark = <usize>load<u8>(at);
  if (mark < 0x80 || mark >= 0xe0) return at + 1;
  if ((mark & 0xe0) == 0xa0) return at + 1 + (mark & 31);
  const length = mark >= 0xc0 ? <usize>load<u8>(LENGTHS + (mark & 31)) : 0;
  return length > 0 ? at + length : longSkip(at);
}

function longSkip(at: usize): usize {
  for (let left: usize = 1; left > 0; left--) {
    readHead(at);
    at += header + bytes;
    left += values;
  }
  return at;
}

/** Whether the bytes are the text. */
function same(at: usize, len: usize, text: string): bool {
  const length = <usize>text.length;
  if (length > len) return false;
  if (length < len) return sameWide(at, len, text);
  // As many bytes as letters: all of both are ASCII, or they differ.
  const from = changetype<usize>(text);
  for (let i: usize = 0; i < length; i++) {
    const unit = <u32>load<u16>(from + (i << 1));
    if (unit >= 0x80 || <u32>load<u8>(at + i) != unit) return false;
  }
  return true;
}

/** As `same`, for more bytes than letters. */
function sameWide(at: usize, len: usize, text: string): bool {
  const end = at + len, length = text.length;
  for (let i = 0; i < length; i++) {
    let unit = <u32>load<u16>(changetype<usize>(text) + (<usize>i << 1));
    if (unit < 0x80) {
      if (at == end || load<u8>(at++) != <u8>unit) return false;
      continue;
    }
    if ((unit & 0xfc00) == 0xd800 && i + 1 < length) {
      const low = <u32>load<u16>(changetype<usize>(text) + (<usize>(++i) << 1));
      unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
    }
    const more: u32 = unit < 0x800 ? 1 : unit < 0x10000 ? 2 : 3;
    if (<usize>more >= end - at) return false;
    const first = (0xf00 >> more & 0xff) | unit >> (6 * more);
    if (load<u8>(at++) != <u8>first) return false;
    for (let left = more; left > 0;) {
      left--;
      if (load<u8>(at++) != <u8>(0x80 | (unit >> (6 * left) & 0x3f))) return false;
    }
  }
  return at == end;
}

/**
 * A value of a record, or none: what is not there equals nothing and has no members, so a path needs no questions on the way.
 * It is no object, but the address of its msgpack, which the host has checked.
 */
@unmanaged
export class Value {
  /** The value that is not there. */
  // @ts-ignore: decorator
  @inline static get missing(): Value { return changetype<Value>(0); }

  // @ts-ignore: decorator
  @inline get address(): usize { return changetype<usize>(this); }

  /** Whether it is there. */
  // @ts-ignore: decorator
  @inline get exists(): bool { return this.address != 0; }

  /** What it is. */
  get kind(): Kind {
    if (!this.exists) return Kind.Missing;
    const mark = load<u8>(this.address);
    if (mark < 0x80 || mark >= 0xe0) return Kind.Int;
    if (mark < 0x90 || mark >= 0xde) return Kind.Map;
    if (mark < 0xa0 || mark >= 0xdc) return Kind.Array;
    if (mark < 0xc0 || mark >= 0xd9) return Kind.Text;
    if (mark < 0xc2) return Kind.Nil;
    if (mark < 0xc4) return Kind.Bool;
    if (mark < 0xc7) return Kind.Binary;
    if (mark < 0xca || mark >= 0xd4) return Kind.Extension;
    return mark < 0xcc ? Kind.Float : Kind.Int;
  }

  /** True, or false: also for what is neither. */
  get isTrue(): bool { return this.exists && load<u8>(this.address) == 0xc3; }

  /** Whether it is an integer that fits `i64`. */
  get isInt(): bool {
    return this.kind == Kind.Int && (load<u8>(this.address) != 0xcf || <i64>be64(this.address + 1) >= 0);
  }

  /** Whether it is an integer that is not negative. */
  get isUint(): bool {
    return this.kind == Kind.Int && (load<u8>(this.address) == 0xcf || this.int() >= 0);
  }

  /** The integer, or `otherwise` if it is none or does not fit. */
  int(otherwise: i64 = 0): i64 {
    if (!this.exists) return otherwise;
    const at = this.address, mark = load<u8>(at);
    if (mark < 0x80 || mark >= 0xe0) return <i64><i8>mark;
    switch (<u32>mark) {
      case 0xcc: return <i64>load<u8>(at, 1);
      case 0xcd: return <i64>be16(at + 1);
      case 0xce: return <i64>be32(at + 1);
      case 0xcf: return <i64>be64(at + 1) >= 0 ? <i64>be64(at + 1) : otherwise;
      case 0xd0: return <i64>load<i8>(at, 1);
      case 0xd1: return <i64><i16>be16(at + 1);
      case 0xd2: return <i64><i32>be32(at + 1);
      case 0xd3: return <i64>be64(at + 1);
    }
    return otherwise;
  }

  /** The integer that is not negative, or `otherwise`. */
  uint(otherwise: u64 = 0): u64 {
    if (this.exists && load<u8>(this.address) == 0xcf) return be64(this.address + 1);
    const int = this.int(-1);
    return int < 0 ? otherwise : <u64>int;
  }

  /** The float, or the integer as one, above 2^53 the nearest; or `otherwise`. */
  float(otherwise: f64 = NaN): f64 {
    if (!this.exists) return otherwise;
    const at = this.address;
    switch (<u32>load<u8>(at)) {
      case 0xca: return <f64>reinterpret<f32>(be32(at + 1));
      case 0xcb: return reinterpret<f64>(be64(at + 1));
      case 0xcf: return <f64>be64(at + 1);
    }
    return this.isInt ? <f64>this.int() : otherwise;
  }

  /** Where the bytes of a text, a binary or an extension are. */
  get bytes(): usize { readHead(this.address); return this.address + header; }

  /** How many bytes a text, a binary or an extension has. */
  get byteLength(): usize { readHead(this.address); return bytes; }

  /** Whether it is this text. */
  // @ts-ignore: decorator
  @inline is(text: string): bool {
    if (!this.exists) return false;
    const at = this.address, mark = <usize>load<u8>(at);
    if ((mark & 0xe0) == 0xa0) return same(at + 1, mark & 31, text);
    return this.kind == Kind.Text && same(this.bytes, this.byteLength, text);
  }

  /** The text as a string of AssemblyScript's, which is new; an empty one if it is none. */
  toString(): string {
    return this.kind == Kind.Text ? String.UTF8.decodeUnsafe(this.bytes, this.byteLength) : "";
  }

  /** The member of this name. Of several the last, which is the one that counts elsewhere, in JSON text for example. */
  get(key: string): Value {
    let found: usize = 0;
    if (this.kind == Kind.Map) {
      let at = this.first;
      for (let left = this.length; left > 0; left--) {
        const value = skip(at);
        if (changetype<Value>(at).is(key)) found = value;
        at = skip(value);
      }
    }
    return changetype<Value>(found);
  }

  /** The first member of this name: less work where names stand early and come once. */
  getFirst(key: string): Value {
    if (this.kind == Kind.Map) {
      let at = this.first;
      for (let left = this.length; left > 0; left--) {
        const value = skip(at);
        if (changetype<Value>(at).is(key)) return changetype<Value>(value);
        at = skip(value);
      }
    }
    return Value.missing;
  }

  /** Entries of a map, or values of an array; else 0. */
  get length(): usize {
    const kind = this.kind;
    if (kind != Kind.Map && kind != Kind.Array) return 0;
    readHead(this.address);
    return kind == Kind.Map ? values >> 1 : values;
  }

  private get first(): usize { readHead(this.address); return this.address + header; }

  /**
   * The first value of an array, or the first key of a map. From a key `next` leads to its value, from there to the next key; `length`
   * says how many there are.
   */
  get inside(): Value { return changetype<Value>(this.first); }

  /** The value that stands behind this one, within the array or map that has both. */
  // @ts-ignore: decorator
  @inline get next(): Value { return changetype<Value>(skip(this.address)); }

  /** Bytes of its msgpack; 0 if it is missing. */
  get size(): usize { return this.exists ? skip(this.address) - this.address : 0; }
}

/** Where the next bytes of values go, and where that room ends; where the next edit or part goes, and where lists end. */
let at: usize, end: usize, list: usize, listEnd: usize;
/** Whether something did not fit. */
let full: bool;

// @ts-ignore: decorator
@inline function hasRoom(len: usize): bool {
  if (len <= end - at) return true;
  full = true;
  return false;
}

// @ts-ignore: decorator
@inline function putByte(byte: u32): void {
  if (hasRoom(1)) store<u8>(at++, <u8>byte);
}

function putBytes(from: usize, len: usize): void {
  if (!hasRoom(len)) return;
  memory.copy(at, from, len);
  at += len;
}

function putNumber(mark: u32, value: u64, len: usize): void {
  if (!hasRoom(1 + len)) return;
  store<u8>(at, <u8>mark);
  for (let i: usize = len; i > 0; i--, value >>= 8) store<u8>(at + i, <u8>value);
  at += 1 + len;
}

function putHeader(fixed: u32, most: usize, mark: u32, count: usize): void {
  if (count <= most) putByte(fixed | <u32>count);
  else if (fixed == 0xa0 && count < 0x100) putNumber(0xd9, count, 1);
  else if (count < 0x10000) putNumber(mark, count, 2);
  else putNumber(mark + 1, count, 4);
}

/** A string's bytes in UTF-8. */
function putString(text: string): void {
  const length = text.length;
  if (!hasRoom(3 * <usize>length)) return;
  const from = changetype<usize>(text);
  let i = 0;
  for (; i < length; i++) {
    const unit = load<u16>(from + (<usize>i << 1));
    if (unit >= 0x80) break;
    store<u8>(at++, <u8>unit);
  }
  if (i < length) at += String.UTF8.encodeUnsafe(from + (<usize>i << 1), length - i, at);
}

/**
 * Writes values, each as msgpack in its shortest form. What does not fit is noticed when the record ends.
 *
 * What is written between `begin` and an edit that is given its result is one value: `const map = Writer.begin(); Writer.map(1);
 * Writer.text("n"); Writer.int(5); record.replace(map);`.
 */
export class Writer {
  /** The value that is written next. */
  // @ts-ignore: decorator
  @inline static begin(): Value { return changetype<Value>(at); }

  static nil(): void { putByte(0xc0); }
  static bool(value: bool): void { putByte(value ? 0xc3 : 0xc2); }

  static int(value: i64): void {
    if (value >= 0) Writer.uint(<u64>value);
    else if (value >= -0x20) putByte(<u32>value & 0xff);
    else if (value >= -0x80) putNumber(0xd0, <u64>value, 1);
    else if (value >= -0x8000) putNumber(0xd1, <u64>value, 2);
    else if (value >= -0x80000000) putNumber(0xd2, <u64>value, 4);
    else putNumber(0xd3, <u64>value, 8);
  }

  static uint(value: u64): void {
    if (value < 0x80) putByte(<u32>value);
    else if (value < 0x100) putNumber(0xcc, value, 1);
    else if (value < 0x10000) putNumber(0xcd, value, 2);
    else if (value < 0x100000000) putNumber(0xce, value, 4);
    else putNumber(0xcf, value, 8);
  }

  static float(value: f64): void { putNumber(0xcb, reinterpret<u64>(value), 8); }

  /** A text. */
  static text(text: string): void {
    const value = Writer.beginText();
    putString(text);
    Writer.endText(value);
  }

  /** A text of bytes that lie in memory. */
  static textOf(from: usize, len: usize): void {
    putHeader(0xa0, 31, 0xda, len);
    putBytes(from, len);
  }

  /** Bytes that are no text. */
  static binary(from: usize, len: usize): void {
    if (len < 0x100) putNumber(0xc4, len, 1);
    else if (len < 0x10000) putNumber(0xc5, len, 2);
    else putNumber(0xc6, len, 4);
    putBytes(from, len);
  }

  /** The header of a map: as many keys and values must follow. */
  static map(entries: usize): void { putHeader(0x80, 15, 0xde, entries); }

  /** The header of an array: as many values must follow. */
  static array(values: usize): void { putHeader(0x90, 15, 0xdc, values); }

  /** A value of the record's, as it came; nil for one that is missing. */
  static value(value: Value): void {
    if (value.exists) putBytes(value.address, value.size);
    else putByte(0xc0);
  }

  /** Begins a text whose length is not known yet: `push` and `pushBytes` follow, and `endText` with what this returns. */
  static beginText(): Value {
    const value = Writer.begin();
    putByte(0xa0);
    return value;
  }

  /** A piece of the text. */
  static push(text: string): void { putString(text); }

  /** A piece of the text that lies in memory. */
  static pushBytes(from: usize, len: usize): void { putBytes(from, len); }

  static endText(value: Value): void {
    if (full) return;
    const begin = value.address, len = at - begin - 1;
    const wider: usize = len < 32 ? 0 : len < 0x100 ? 1 : len < 0x10000 ? 2 : 4;
    if (!hasRoom(wider)) return;
    if (wider > 0) memory.copy(begin + 1 + wider, begin + 1, len);
    at = begin;
    putHeader(0xa0, 31, 0xda, len);
    at += len;
  }
}

/** Writes what it is: a value, a string, a boolean, an integer or a float. */
// @ts-ignore: decorator
@inline function made<T>(value: T): Value {
  // @ts-ignore: a value is the only reference that is not managed
  if (isReference<T>() && !isManaged<T>()) return changetype<Value>(value);
  const begin = Writer.begin();
  // @ts-ignore: T is a string
  if (isString<T>()) Writer.text(value);
  // @ts-ignore: T is a boolean
  else if (isBoolean<T>()) Writer.bool(value);
  // @ts-ignore: T is a number
  else if (isFloat<T>()) Writer.float(<f64>value);
  // @ts-ignore: T is a number
  else if (isSigned<T>()) Writer.int(<i64>value);
  // @ts-ignore: T is a number
  else if (isInteger<T>()) Writer.uint(<u64>value);
  else ERROR("a record holds values, strings, booleans and numbers");
  return begin;
}

/** What an edit does; with the high bit set, to the metadata. */
const SET: u32 = 0, APPEND: u32 = 1, DELETE: u32 = 2, RENAME: u32 = 3, PUT: u32 = 4, ALL: u32 = 5, TIME: u32 = 6, TAG: u32 = 7;
const METADATA: u32 = 0x80;

function edit(kind: u32, key: usize, value: usize, len: usize): void {
  if (listEnd - list < 16) full = true;
  if (full) return;
  store<u32>(list, kind);
  store<u32>(list, <u32>key, 4);
  store<u32>(list, <u32>value, 8);
  store<u32>(list, <u32>len, 12);
  list += 16;
}

function editNamed(kind: u32, name: string, value: Value): void {
  if (full) return;
  // Before the key, because what is written now may be the value that was begun last.
  const len = value.size;
  const key = at;
  putString(name);
  edit(kind | <u32>(at - key) << 8, key, value.address, len);
}

/** This record's first edit or part, and where its values begin. */
let firstEdit: usize, firstValue: usize;
/** How many parts, or -1. */
let parts: i32;
let reason: usize, reasonLen: usize;

/** The record in hand. It is no object, but the address of its row in the batch. */
@unmanaged
export class Record {
  private sec_: u32;
  private nsec_: u32;
  private meta_: usize;
  private body_: usize;
  private end_: usize;

  /** Seconds since 1970, and nanoseconds: when it happened. */
  get sec(): u32 { return this.sec_; }
  get nsec(): u32 { return this.nsec_; }

  /** The whole body, a map. */
  get body(): Value { return changetype<Value>(this.body_); }

  /** The metadata, a map, often an empty one. */
  get metadata(): Value { return changetype<Value>(this.meta_); }

  /** The body's member of this name; of several the last. */
  get(key: string): Value { return this.body.get(key); }

  /** The body's JSON text, as the host prints it. */
  json(): Value { return this.jsonOf(this.body_, this.end_ - this.body_); }

  private jsonOf(from: usize, size: usize): Value {
    const begin = Writer.begin();
    if (!hasRoom(5)) return begin;
    const room = end - at - 5, len = <usize>host_json(from, size, at + 5, room);
    if (len > room) { full = true; return begin; }
    const text = at + 5;
    putHeader(0xa0, 31, 0xda, len);
    if (at != text) memory.copy(at, text, len);
    at += len;
    return begin;
  }

  /** The time by RFC 3339, in UTC: 2026-11-22T13:49:40.917655454Z. */
  rfc3339(): Value {
    // A year is taken to begin in March, so that the leap day is its last: then 400 years are always 146,097 days, and the months
    // before a month have (153 * month + 2) / 5.
    const sec = this.sec_, days: u32 = sec / 86400 + 719468, era: u32 = days / 146097;
    let day: u32 = days % 146097;
    let year: u32 = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    let month: u32 = (5 * day + 2) / 153;
    day = day - (153 * month + 2) / 5 + 1;
    year += era * 400 + (month >= 10 ? 1 : 0);
    month = month < 10 ? month + 3 : month - 9;
    const begin = Writer.begin();
    if (!hasRoom(31)) return begin;
    putByte(0xa0 | 30);
    digits(year, 4, 0x2d);
    digits(month, 2, 0x2d);
    digits(day, 2, 0x54);
    digits(sec / 3600 % 24, 2, 0x3a);
    digits(sec / 60 % 60, 2, 0x3a);
    digits(sec % 60, 2, 0x2e);
    digits(this.nsec_, 9, 0x5a);
    return begin;
  }

  /** Sets a member: every one of this name, in its place; if there is none, behind the others. */
  // @ts-ignore: decorator
  @inline set<T>(key: string, value: T): void { editNamed(SET, key, made<T>(value)); }

  /** Adds a member behind the others, without looking whether there is one of this name: the cheapest way to add. */
  // @ts-ignore: decorator
  @inline append<T>(key: string, value: T): void { editNamed(APPEND, key, made<T>(value)); }

  /** As `set`, with nil. */
  setNil(key: string): void {
    const begin = Writer.begin();
    Writer.nil();
    editNamed(SET, key, begin);
  }

  /** Takes every member of this name away. */
  delete(key: string): void { editNamed(DELETE, key, Value.missing); }

  /** Gives every member of this name another one. */
  rename(key: string, name: string): void {
    const begin = at;
    putString(name);
    const len = at - begin, from = at;
    putString(key);
    edit(RENAME | <u32>(at - from) << 8, from, begin, len);
  }

  /** As `set`, for the metadata. */
  // @ts-ignore: decorator
  @inline setMetadata<T>(key: string, value: T): void { editNamed(METADATA | SET, key, made<T>(value)); }

  /** As `delete`, for the metadata. */
  deleteMetadata(key: string): void { editNamed(METADATA | DELETE, key, Value.missing); }

  /**
   * Puts another value in the place of one of the record's, at any depth, in its body or its metadata. Where there is none nothing
   * happens. A value may be replaced alone or with the one that it is in, but not both.
   */
  // @ts-ignore: decorator
  @inline put<T>(old: Value, value: T): void { if (old.exists) this.putValue(old, made<T>(value)); }

  private putValue(old: Value, value: Value): void {
    if (full) return;
    const inBody = old.address >= this.body_;
    const kind = inBody ? PUT : METADATA | PUT;
    const place = <u32>(old.address - (inBody ? this.body_ : this.meta_));
    const size = <u32>value.size;
    edit(kind, place, value.address, size);
    if (full) return;
    // The ABI wants puts in the order in which the values stand, and one for each; so this one is moved to where it belongs.
    const last = list - 16;
    let to = last, isNew = true;
    for (let other = last; other > firstEdit;) {
      other -= 16;
      if (load<u32>(other) != kind) continue;
      const its = load<u32>(other, 4);
      if (its < place) break;
      if (its == place) {
        list -= 16;
        isNew = false;
        to = other;
        break;
      }
      to = other;
    }
    if (isNew) memory.copy(to + 16, to, last - to);
    store<u32>(to, kind);
    store<u32>(to, place, 4);
    store<u32>(to, <u32>value.address, 8);
    store<u32>(to, size, 12);
  }

  /** Puts a map in the place of the whole body. Other edits of the body cannot stand beside it. */
  replace(map: Value): void { if (!full) edit(ALL, 0, map.address, map.size); }

  /** Gives it another time. */
  setTime(sec: u32, nsec: u32): void { edit(TIME, sec, nsec, 0); }

  /** Lets it go on under another tag. */
  setTag(tag: string): void {
    const begin = at;
    putString(tag);
    edit(TAG, 0, begin, at - begin);
  }

  /** Makes it a failure: `return record.fail("no user")`. */
  fail(why: string): Verdict {
    const text = Writer.beginText();
    Writer.push(why);
    Writer.endText(text);
    return this.failWith(text);
  }

  /** As `fail`, with a text of `Writer`'s. */
  failWith(why: Value): Verdict {
    if (full) return Verdict.Fail;
    reason = why.bytes;
    reasonLen = why.byteLength;
    return Verdict.Fail;
  }

  /** From here on the record becomes several, or none: the parts that are added, in their order. Its edits are forgotten. */
  split(): void { list = firstEdit; parts = 0; }

  /** One more part, which is as the record came: say what it shall have of its own. */
  add(): Part {
    if (listEnd - list < 32) full = true;
    if (full) return changetype<Part>(NOWHERE);
    memory.fill(list, 0, 32);
    store<u32>(list, this.sec_);
    store<u32>(list, this.nsec_, 4);
    parts++;
    list += 32;
    return changetype<Part>(list - 32);
  }
}

const NOWHERE = memory.data(32);

function digits(number: u32, width: usize, behind: u32): void {
  for (let i = width; i > 0; number /= 10) store<u8>(at + --i, <u8>(0x30 + number % 10));
  store<u8>(at + width, <u8>behind);
  at += width + 1;
}

/** A record that comes of another one. */
@unmanaged
export class Part {
  /** When it happened. */
  sec: u32;
  nsec: u32;
  private meta: usize;
  private metaLen: u32;
  private body_: usize;
  private bodyLen: u32;
  private tag_: usize;
  private tagLen: u32;

  /** This body: a map of the record's, or one that was written. */
  set body(map: Value) { if (!full) { this.body_ = map.address; this.bodyLen = <u32>map.size; } }

  /** This metadata, a map as well. */
  set metadata(map: Value) { if (!full) { this.meta = map.address; this.metaLen = <u32>map.size; } }

  /** This tag. */
  set tag(tag: string) {
    this.tag_ = at;
    putString(tag);
    this.tagLen = <u32>(at - this.tag_);
  }
}

/** What a filter is told beside the record. It is no object, but the address of the batch. */
@unmanaged
export class Context {
  /** The record's tag, a text. */
  get tag(): Value { return changetype<Value>(tagText); }

  /** The time, as the agent's clock has it: nanoseconds since 1970. */
  get now(): u64 { return load<u64>(changetype<usize>(this), 40); }

  /** A property of the filter's configuration, a text: `Config.Level` is `config("level")`. */
  config(key: string): Value { return changetype<Start>(<usize>load<u32>(changetype<usize>(this), 60)).config(key); }
}

/** The tag of the batch in hand, as msgpack. */
let tagText: usize;

/** What a filter is told before its first record. */
@unmanaged
export class Start {
  /** As `Context.config`. */
  config(key: string): Value { return changetype<Value>(<usize>load<u32>(changetype<usize>(this), 8)).get(key); }

  /** Says why the filter cannot start: `return start.refuse("no level")`. */
  refuse(why: string): u32 {
    const block = changetype<usize>(this), out = <usize>load<u32>(block, 24);
    at = out;
    end = out + load<u32>(block, 28);
    putString(why);
    store<u32>(block, <u32>out, 32);
    store<u32>(block, <u32>(at - out), 36);
    return 1;
  }
}

/** Says that the module knows the batch ABI: export it from the filter's file. */
export function flb_batch_1(): void {}

/** At the end of the scratch memory, for the last words of `flbAbort`. */
const LAST_WORDS: usize = 1024;
let batchInHand: usize;

/** Has the filter decide about every record of the batch. */
// @ts-ignore: decorator
@inline export function run(batch: usize, filter: (record: Record, ctx: Context) => Verdict): u32 {
  batchInHand = batch;
  const out = <usize>load<u32>(batch, 32), room = (<usize>load<u32>(batch, 36) - LAST_WORDS) & ~15;
  at = out;
  end = out + (room / 4 * 3 & ~15);
  list = end;
  listEnd = out + room;
  full = false;
  tagText = at;
  Writer.textOf(load<u32>(batch, 24), load<u32>(batch, 28));
  const count = load<u32>(batch, 8), size = load<u32>(batch, 20);
  let row = <usize>load<u32>(batch, 16) + <usize>load<u32>(batch, 12) * size;
  for (let i = load<u32>(batch, 12); i < count; i++, row += size) {
    // A store to memory is never taken away or moved here.
    store<u32>(batch, i, 12);
    firstValue = at;
    firstEdit = list;
    parts = -1;
    const verdict = filter(changetype<Record>(row), changetype<Context>(batch));
    if (verdict == Verdict.Drop) {
      at = firstValue;
      list = firstEdit;
      full = false;
      store<u32>(row, 1, 20);
      continue;
    }
    if (full) return 1;
    let number: u32 = 0, answer = firstEdit, len = <u32>0;
    if (verdict == Verdict.Fail) {
      number = 5;
      answer = reason;
      len = <u32>reasonLen;
    } else if (parts >= 0) {
      number = 4;
      len = <u32>parts;
    } else if (list != firstEdit) {
      number = 2;
      len = <u32>((list - firstEdit) / 16);
    }
    if (number == 0) continue;
    store<u32>(row, <u32>answer, 24);
    store<u32>(row, len, 28);
    store<u32>(row, number, 20);
  }
  store<u32>(batch, count, 12);
  return 0;
}

/** For `--use abort=flb_filter/flbAbort`: the message is the failure's, with file and line. The record in hand is lost to it, no other. */
export function flbAbort(message: string | null, file: string | null, line: u32, column: u32): void {
  if (batchInHand == 0) unreachable();
  at = <usize>load<u32>(batchInHand, 32) + load<u32>(batchInHand, 36) - LAST_WORDS;
  end = at + LAST_WORDS;
  const words = at;
  // A part of each, so that what is needed fits.
  if (message) putString(message.length > 200 ? message.substring(0, 200) : message);
  putString(" at ");
  if (file) putString(file.length > 80 ? file.substring(file.length - 80) : file);
  putByte(0x3a);
  let width: usize = 1;
  for (let rest = line; rest >= 10; rest /= 10) width++;
  digits(line, width, 0x20);
  const row = <usize>load<u32>(batchInHand, 16) + <usize>load<u32>(batchInHand, 12) * load<u32>(batchInHand, 20);
  store<u32>(row, <u32>words, 24);
  store<u32>(row, <u32>(at - words - 1), 28);
  store<u32>(row, 5, 20);
  unreachable();
}

/** How much a line of the log matters. */
export enum Level { Error = 1, Warn, Info, Debug, Trace }

/** Writes a line to the agent's log, under the filter's name. */
export function log(level: Level, line: string): void {
  const begin = at;
  putString(line);
  host_log(level, begin, at - begin);
  at = begin;
}

/** SHA-256: 32 bytes at `to`. */
// @ts-ignore: decorator
@inline export function sha256(data: usize, len: usize, to: usize): void { host_sha256(data, len, to); }

/** The number of a counter of that name among the filter's metrics; best asked for once, in `flb_start`. */
export function counter(name: string): u32 {
  const text = String.UTF8.encode(name);
  return host_counter(changetype<usize>(text), text.byteLength);
}

/** The number of a histogram, with buckets up to the bounds, which ascend, and one for the rest. */
export function histogram(name: string, bounds: StaticArray<f64>): u32 {
  const text = String.UTF8.encode(name);
  return host_histogram(changetype<usize>(text), text.byteLength, changetype<usize>(bounds), bounds.length);
}

/** Counts. */
// @ts-ignore: decorator
@external("flb", "add") export declare function add(counter: u32, by: u64): void;
/** Counts a value in its bucket. */
// @ts-ignore: decorator
@external("flb", "observe") export declare function observe(histogram: u32, value: f64): void;
// @ts-ignore: decorator
@external("flb", "json") declare function host_json(value: usize, len: usize, to: usize, room: usize): u32;
// @ts-ignore: decorator
@external("flb", "sha256") declare function host_sha256(data: usize, len: usize, to: usize): void;
// @ts-ignore: decorator
@external("flb", "log") declare function host_log(level: u32, text: usize, len: usize): void;
// @ts-ignore: decorator
@external("flb", "counter") declare function host_counter(name: usize, len: usize): u32;
// @ts-ignore: decorator
@external("flb", "histogram") declare function host_histogram(name: usize, len: usize, bounds: usize, count: usize): u32;
