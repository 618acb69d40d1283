/* Log filters in C and C++, which run as WebAssembly in flb-agent: a function that is given a record, and says what becomes of it.
 *
 *     #include "flb_filter.h"
 *
 *     static flb_verdict hide(flb_record *record) {
 *         if (flb_is(flb_get(record, "level"), "debug")) return FLB_DROP;
 *         flb_set_text(record, "tag", record->batch->tag, record->batch->tag_len);
 *         return FLB_KEEP;
 *     }
 *     FLB_FILTER(hide)
 *
 * No C library is needed:
 *
 *     clang --target=wasm32 -O2 -mbulk-memory -ffreestanding -c hide.c
 *     wasm-ld --no-entry --strip-all --stack-first -o hide.wasm hide.o
 *
 * The filter is exported under its function's name, which is its Function_Name; a module may have several. Nothing here allocates:
 * records are read where the host put them, answers are written into memory that it lends.
 *
 * A value is the address of its msgpack, which the host has checked, or NULL for one that is not there; that one equals nothing and
 * has no members, so a path needs no questions on the way. What is read is the record as it came: edits change what leaves. Of keys
 * that come twice the last one is read; edits take all of a name. Texts that are not given to be copied (keys, and the new ones of
 * flb_rename) must stay until the filter has seen the whole batch: constants, and texts of the record, do. */
#ifndef FLB_FILTER_H
#define FLB_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define FLB_EXTERN extern "C"
#else
#define FLB_EXTERN extern
#endif
#define FLB_INLINE static inline __attribute__((always_inline, unused))
#define FLB_FN static __attribute__((noinline, unused))

/* What becomes of a record: it goes on, with its edits or in parts; it ends here; it is a failure, see flb_fail. */
typedef enum { FLB_KEEP = 0, FLB_DROP = 1, FLB_FAIL = 5 } flb_verdict;

/* A msgpack value, or NULL. */
typedef const uint8_t *flb_value;

/* ---- The blocks of the ABI, as docs/batch-abi.md draws them ---- */

struct flb_start {
    uint32_t version, size;
    flb_value config; /* one map: the filter's Config.* */
    uint32_t config_len;
    const char *name; /* in log and metrics */
    uint32_t name_len;
    uint8_t *out;
    uint32_t out_cap;
    const char *reason;
    uint32_t reason_len, flags, reserved;
};

struct flb_rec {
    uint32_t sec, nsec;
    flb_value meta, body, end;
    uint32_t verdict;
    const void *at;
    uint32_t len;
};

struct flb_batch {
    uint32_t version, size, count, next;
    struct flb_rec *recs;
    uint32_t rec_size;
    const char *tag; /* a NUL follows it */
    uint32_t tag_len;
    uint8_t *out;
    uint32_t out_cap;
    uint64_t now;      /* nanoseconds since 1970 */
    uint64_t deadline; /* for a record, nanoseconds */
    uint32_t flags;
    struct flb_start *start;
};

struct flb_edit {
    uint32_t kind; /* above 8 bits the key's length */
    const void *key;
    const void *value;
    uint32_t len;
};

struct flb_part {
    uint32_t sec, nsec;
    const void *meta;
    uint32_t meta_len;
    const void *body;
    uint32_t body_len;
    const void *tag;
    uint32_t tag_len;
};

enum { FLB_SET, FLB_APPEND, FLB_DELETE, FLB_RENAME, FLB_PUT, FLB_ALL, FLB_TIME, FLB_TAG, FLB_METADATA = 0x80 };

/* At the end of the scratch memory, for the last words of flb_panic. */
#define FLB_LAST_WORDS 1024

/* The record in hand: record->rec->sec and nsec are its time, record->batch has tag, time and configuration. */
typedef struct flb_record {
    struct flb_batch *batch;
    struct flb_rec *rec;
    /* Where the next bytes of values go, and the next edit or part. */
    uint8_t *out, *out_end, *list, *list_end;
    uint8_t *first_out, *first_list; /* of this record */
    uint32_t parts;
    bool is_split, is_full;
} flb_record;

/* ---- What the host does: module flb ---- */

#ifdef __wasm__
#define FLB_IMPORT(name) __attribute__((import_module("flb"), import_name(name))) FLB_EXTERN
#else
#define FLB_IMPORT(name) FLB_EXTERN /* natively the test brings them */
#endif
FLB_IMPORT("json") uint32_t flb_host_json(flb_value value, uint32_t len, uint8_t *to, uint32_t room);
/* 32 bytes of SHA-256. */
FLB_IMPORT("sha256") void flb_sha256(const void *data, uint32_t len, uint8_t *to);
/* A line of the agent's log. Level: 1 error, 2 warn, 3 info, 4 debug, 5 trace. */
FLB_IMPORT("log") void flb_log(int level, const char *text, uint32_t len);
/* The number of a counter or a histogram of that name among the filter's metrics; best asked for once, in FLB_START. */
FLB_IMPORT("counter") uint32_t flb_counter(const char *name, uint32_t len);
FLB_IMPORT("add") void flb_add(uint32_t counter, uint64_t by);
FLB_IMPORT("histogram") uint32_t flb_histogram(const char *name, uint32_t len, const double *bounds, uint32_t count);
FLB_IMPORT("observe") void flb_observe(uint32_t histogram, double value);

/* ---- Reading ---- */

FLB_INLINE uint32_t flb_be16(flb_value p) { return (uint32_t)p[0] << 8 | p[1]; }
FLB_INLINE uint32_t flb_be32(flb_value p) {
    uint32_t x;
    __builtin_memcpy(&x, p, 4);
    return __builtin_bswap32(x);
}
FLB_INLINE uint64_t flb_be64(flb_value p) {
    uint64_t x;
    __builtin_memcpy(&x, p, 8);
    return __builtin_bswap64(x);
}

/* What stands at the head of a value: how long its header and its bytes are, and how many values follow. */
struct flb_head {
    uint32_t header, bytes, values;
};
FLB_FN struct flb_head flb_head(flb_value p) {
    struct flb_head h = {1, 0, 0};
    uint8_t m = *p;
    if (m < 0x80 || m >= 0xe0) return h;
    if (m < 0x90) return h.values = 2u * (m & 15), h;
    if (m < 0xa0) return h.values = m & 15, h;
    if (m < 0xc0) return h.bytes = m & 31, h;
    switch (m) {
    case 0xcc: case 0xd0: h.bytes = 1; break;
    case 0xcd: case 0xd1: h.bytes = 2; break;
    case 0xca: case 0xce: case 0xd2: h.bytes = 4; break;
    case 0xcb: case 0xcf: case 0xd3: h.bytes = 8; break;
    case 0xc4: case 0xd9: h.header = 2, h.bytes = p[1]; break;
    case 0xc5: case 0xda: h.header = 3, h.bytes = flb_be16(p + 1); break;
    case 0xc6: case 0xdb: h.header = 5, h.bytes = flb_be32(p + 1); break;
    case 0xc7: h.header = 3, h.bytes = p[1]; break;
    case 0xc8: h.header = 4, h.bytes = flb_be16(p + 1); break;
    case 0xc9: h.header = 6, h.bytes = flb_be32(p + 1); break;
    case 0xd4: case 0xd5: case 0xd6: case 0xd7: case 0xd8: h.header = 2, h.bytes = 1u << (m - 0xd4); break;
    case 0xdc: h.header = 3, h.values = flb_be16(p + 1); break;
    case 0xdd: h.header = 5, h.values = flb_be32(p + 1); break;
    case 0xde: h.header = 3, h.values = 2 * flb_be16(p + 1); break;
    case 0xdf: h.header = 5, h.values = 2 * flb_be32(p + 1); break;
    }
    return h;
}
FLB_FN flb_value flb_skip_long(flb_value p) {
    for (uint32_t left = 1; left > 0; left--) {
        struct flb_head h = flb_head(p);
        p += h.header + h.bytes;
        left += h.values;
    }
    return p;
}
/* What follows the value. */
FLB_INLINE flb_value flb_skip(flb_value p) {
    static const uint8_t lengths[32] = {1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18};
    uint8_t m = *p;
    if (m < 0x80 || m >= 0xe0) return p + 1;
    if ((m & 0xe0) == 0xa0) return p + 1 + (m & 31);
    if (m >= 0xc0 && lengths[m & 31]) return p + lengths[m & 31];
    return flb_skip_long(p);
}
/* Bytes of its msgpack; 0 for none. */
FLB_INLINE uint32_t flb_size(flb_value p) { return p ? (uint32_t)(flb_skip(p) - p) : 0; }

FLB_INLINE bool flb_same(const void *a, const void *b, uint32_t len) {
    const uint8_t *p = (const uint8_t *)a, *q = (const uint8_t *)b;
    for (; len >= 8; p += 8, q += 8, len -= 8) {
        uint64_t x, y;
        __builtin_memcpy(&x, p, 8), __builtin_memcpy(&y, q, 8);
        if (x != y) return false;
    }
    for (; len > 0; p++, q++, len--) {
        if (*p != *q) return false;
    }
    return true;
}

typedef enum {
    FLB_MISSING, FLB_NIL, FLB_BOOL, FLB_INT, FLB_FLOAT, FLB_TEXT, FLB_BINARY, FLB_EXTENSION, FLB_ARRAY, FLB_MAP
} flb_kind;
/* What a value is. */
FLB_FN flb_kind flb_kind_of(flb_value p) {
    if (!p) return FLB_MISSING;
    uint8_t m = *p;
    if (m < 0x80 || m >= 0xe0) return FLB_INT;
    if (m < 0x90 || m >= 0xde) return FLB_MAP;
    if (m < 0xa0 || m >= 0xdc) return FLB_ARRAY;
    if (m < 0xc0 || m >= 0xd9) return FLB_TEXT;
    if (m < 0xc2) return FLB_NIL;
    if (m < 0xc4) return FLB_BOOL;
    if (m < 0xc7) return FLB_BINARY;
    if (m < 0xca || m >= 0xd4) return FLB_EXTENSION;
    return m < 0xcc ? FLB_FLOAT : FLB_INT;
}

/* The getters answer false, and set nothing, if the value is something else. */

/* A text: bytes that ought to be UTF-8, but nobody has looked. */
FLB_INLINE bool flb_text(flb_value p, const char **text, uint32_t *len) {
    if (!p) return false;
    if ((*p & 0xe0) == 0xa0) return *text = (const char *)p + 1, *len = *p & 31u, true;
    if (*p < 0xd9 || *p > 0xdb) return false;
    struct flb_head h = flb_head(p);
    return *text = (const char *)p + h.header, *len = h.bytes, true;
}
/* Bytes that are no text. */
FLB_FN bool flb_binary(flb_value p, const uint8_t **bytes, uint32_t *len) {
    if (flb_kind_of(p) != FLB_BINARY) return false;
    struct flb_head h = flb_head(p);
    return *bytes = p + h.header, *len = h.bytes, true;
}
FLB_FN bool flb_extension(flb_value p, int8_t *type, const uint8_t **bytes, uint32_t *len) {
    if (flb_kind_of(p) != FLB_EXTENSION) return false;
    struct flb_head h = flb_head(p);
    return *type = (int8_t)p[h.header - 1], *bytes = p + h.header, *len = h.bytes, true;
}
FLB_INLINE bool flb_bool(flb_value p, bool *to) {
    if (!p || (*p & 0xfe) != 0xc2) return false;
    return *to = *p & 1, true;
}
/* An integer that fits. */
FLB_INLINE bool flb_int(flb_value p, int64_t *to) {
    if (!p) return false;
    switch (*p) {
    case 0xcc: return *to = p[1], true;
    case 0xcd: return *to = flb_be16(p + 1), true;
    case 0xce: return *to = flb_be32(p + 1), true;
    case 0xcf: return (p[1] & 0x80) == 0 && (*to = (int64_t)flb_be64(p + 1), true);
    case 0xd0: return *to = (int8_t)p[1], true;
    case 0xd1: return *to = (int16_t)flb_be16(p + 1), true;
    case 0xd2: return *to = (int32_t)flb_be32(p + 1), true;
    case 0xd3: return *to = (int64_t)flb_be64(p + 1), true;
    }
    return (*p < 0x80 || *p >= 0xe0) && (*to = (int8_t)*p, true);
}
/* An integer that is not negative. */
FLB_FN bool flb_uint(flb_value p, uint64_t *to) {
    int64_t i;
    if (p && *p == 0xcf) return *to = flb_be64(p + 1), true;
    return flb_int(p, &i) && i >= 0 && (*to = (uint64_t)i, true);
}
/* A float, or an integer as one: above 2^53 the nearest. */
FLB_FN bool flb_float(flb_value p, double *to) {
    int64_t i;
    if (!p) return false;
    if (*p == 0xca) {
        uint32_t bits = flb_be32(p + 1);
        float f;
        __builtin_memcpy(&f, &bits, 4);
        return *to = f, true;
    }
    if (*p == 0xcb) {
        uint64_t bits = flb_be64(p + 1);
        __builtin_memcpy(to, &bits, 8);
        return true;
    }
    if (*p == 0xcf) return *to = (double)flb_be64(p + 1), true;
    return flb_int(p, &i) && (*to = (double)i, true);
}
/* Whether it is the text. */
FLB_INLINE bool flb_is_n(flb_value p, const char *text, uint32_t len) {
    const char *found = 0;
    uint32_t found_len = 0;
    return flb_text(p, &found, &found_len) && found_len == len && flb_same(found, text, len);
}
#define flb_is(value_, literal) flb_is_n(value_, "" literal, sizeof(literal) - 1)

/* The values of an array, or the entries of a map: `for (flb_iter i = flb_iterate(list); flb_next(&i);) .. i.key, i.value ..`.
 * In an array there are no keys. */
typedef struct flb_iter {
    flb_value key, value;
    flb_value at; /* what comes next */
    uint32_t left;
    bool is_map;
} flb_iter;
FLB_INLINE flb_iter flb_iterate(flb_value p) {
    flb_iter i = {NULL, NULL, p, 0, false};
    if (!p) return i;
    uint8_t m = *p;
    if ((m & 0xe0) == 0x80) return i.is_map = m < 0x90, i.left = m & 15, i.at = p + 1, i;
    if (m < 0xdc || m > 0xdf) return i;
    i.is_map = m >= 0xde;
    return m & 1 ? (i.left = flb_be32(p + 1), i.at = p + 5) : (i.left = flb_be16(p + 1), i.at = p + 3), i;
}
FLB_INLINE bool flb_next(flb_iter *i) {
    if (i->left == 0) return false;
    i->left--;
    if (i->is_map) i->key = i->at, i->at = flb_skip(i->at);
    i->value = i->at;
    i->at = flb_skip(i->at);
    return true;
}
/* Entries of a map, or values of an array; else 0. */
FLB_INLINE uint32_t flb_len(flb_value p) { return flb_iterate(p).left; }

/* The member of a map of this name: of several the last, which is the one that counts elsewhere; or the first, which is less work. */
FLB_INLINE flb_value flb_member_n(flb_value map, const char *key, uint32_t len) {
    flb_value found = NULL;
    flb_iter i = flb_iterate(map);
    while (i.is_map && flb_next(&i)) {
        if (flb_is_n(i.key, key, len)) found = i.value;
    }
    return found;
}
FLB_INLINE flb_value flb_first_n(flb_value map, const char *key, uint32_t len) {
    flb_iter i = flb_iterate(map);
    while (i.is_map && flb_next(&i)) {
        if (flb_is_n(i.key, key, len)) return i.value;
    }
    return NULL;
}
#define flb_member(map_, literal) flb_member_n(map_, "" literal, sizeof(literal) - 1)
#define flb_first(map_, literal) flb_first_n(map_, "" literal, sizeof(literal) - 1)
/* The member of the record's body; and a property of the configuration, a text: Config.Level is "level". */
#define flb_get(record_, literal) flb_member((record_)->rec->body, literal)
#define flb_config(record_, literal) flb_member((record_)->batch->start->config, literal)

/* ---- Writing values: each appends one in its shortest form. What does not fit is noticed when the record ends. ---- */

FLB_INLINE bool flb_room(flb_record *r, uint32_t len) {
    if (len <= (uint32_t)(r->out_end - r->out)) return true;
    r->is_full = true;
    return false;
}
/* Bytes as they are: parts of a text that was begun, or msgpack. */
FLB_INLINE void flb_write(flb_record *r, const void *bytes, uint32_t len) {
    if (!flb_room(r, len)) return;
    __builtin_memcpy(r->out, bytes, len);
    r->out += len;
}
FLB_INLINE void flb_write_byte(flb_record *r, uint8_t byte) {
    if (flb_room(r, 1)) *r->out++ = byte;
}
FLB_INLINE void flb_write_be(flb_record *r, uint8_t mark, uint64_t value, uint32_t len) {
    flb_write_byte(r, mark);
    if (!flb_room(r, len)) return;
    for (uint32_t shift = 8 * len; shift > 0;) shift -= 8, *r->out++ = (uint8_t)(value >> shift);
}
/* A header in its shortest form: fixed with `most` in it, then 0xd9 for texts alone, then `mark`. */
FLB_INLINE void flb_write_header(flb_record *r, uint8_t fixed, uint32_t most, uint8_t mark, uint32_t count) {
    if (count <= most) flb_write_byte(r, (uint8_t)(fixed | count));
    else if (fixed == 0xa0 && count < 0x100) flb_write_be(r, 0xd9, count, 1);
    else if (count < 0x10000) flb_write_be(r, mark, count, 2);
    else flb_write_be(r, mark + 1, count, 4);
}
FLB_INLINE void flb_write_text(flb_record *r, const char *text, uint32_t len) {
    flb_write_header(r, 0xa0, 31, 0xda, len);
    flb_write(r, text, len);
}
/* The header of a map or an array: as many entries, each a key and a value, or values must follow. */
FLB_INLINE void flb_write_map(flb_record *r, uint32_t entries) { flb_write_header(r, 0x80, 15, 0xde, entries); }
FLB_INLINE void flb_write_array(flb_record *r, uint32_t values) { flb_write_header(r, 0x90, 15, 0xdc, values); }
FLB_INLINE void flb_write_nil(flb_record *r) { flb_write_byte(r, 0xc0); }
FLB_INLINE void flb_write_bool(flb_record *r, bool value) { flb_write_byte(r, value ? 0xc3 : 0xc2); }
FLB_FN void flb_write_uint(flb_record *r, uint64_t value) {
    if (value < 0x80) flb_write_byte(r, (uint8_t)value);
    else if (value < 0x100) flb_write_be(r, 0xcc, value, 1);
    else if (value < 0x10000) flb_write_be(r, 0xcd, value, 2);
    else if (value < 0x100000000) flb_write_be(r, 0xce, value, 4);
    else flb_write_be(r, 0xcf, value, 8);
}
FLB_FN void flb_write_int(flb_record *r, int64_t value) {
    if (value >= 0) flb_write_uint(r, (uint64_t)value);
    else if (value >= -0x20) flb_write_byte(r, (uint8_t)value);
    else if (value >= -0x80) flb_write_be(r, 0xd0, (uint64_t)value, 1);
    else if (value >= -0x8000) flb_write_be(r, 0xd1, (uint64_t)value, 2);
    else if (value >= -0x80000000ll) flb_write_be(r, 0xd2, (uint64_t)value, 4);
    else flb_write_be(r, 0xd3, (uint64_t)value, 8);
}
FLB_INLINE void flb_write_float(flb_record *r, double value) {
    uint64_t bits;
    __builtin_memcpy(&bits, &value, 8);
    flb_write_be(r, 0xcb, bits, 8);
}
FLB_FN void flb_write_binary(flb_record *r, const void *bytes, uint32_t len) {
    if (len < 0x100) flb_write_be(r, 0xc4, len, 1);
    else if (len < 0x10000) flb_write_be(r, 0xc5, len, 2);
    else flb_write_be(r, 0xc6, len, 4);
    flb_write(r, bytes, len);
}
/* One of the record's, as it came; nil for one that is not there. */
FLB_INLINE void flb_write_value(flb_record *r, flb_value value) {
    if (value) flb_write(r, value, flb_size(value));
    else flb_write_nil(r);
}
/* A text whose length is not known before: `uint8_t *text = flb_begin_text(r); flb_write(r, ..); flb_end_text(r, text);`. */
FLB_INLINE uint8_t *flb_begin_text(flb_record *r) {
    uint8_t *text = r->out;
    flb_write_byte(r, 0);
    return text;
}
FLB_FN void flb_end_text(flb_record *r, uint8_t *text) {
    uint32_t len = (uint32_t)(r->out - text) - 1, wider = len < 32 ? 0 : len < 0x100 ? 1 : len < 0x10000 ? 2 : 4;
    if (r->is_full || !flb_room(r, wider)) return;
    if (wider) __builtin_memmove(text + 1 + wider, text + 1, len);
    r->out = text;
    flb_write_header(r, 0xa0, 31, 0xda, len);
    r->out += len;
}
/* The JSON text of a value of that size, as the host prints it; for the whole body: rec->body, rec->end - rec->body. */
FLB_FN void flb_write_json(flb_record *r, flb_value value, uint32_t size) {
    uint32_t room = (uint32_t)(r->out_end - r->out);
    if (room < 5) { r->is_full = true; return; }
    uint8_t *text = r->out;
    uint32_t len = flb_host_json(value, size, text + 5, room - 5);
    if (len > room - 5) { r->is_full = true; return; }
    flb_write_header(r, 0xa0, 31, 0xda, len);
    if (r->out != text + 5) __builtin_memmove(r->out, text + 5, len);
    r->out += len;
}
/* A record's time by RFC 3339, in UTC, as a text of 30 letters: 2026-11-22T13:49:40.917655454Z. */
FLB_FN void flb_write_time(flb_record *r, uint32_t sec, uint32_t nsec) {
    /* A year is taken to begin in March, so that the leap day is its last: then 400 years are always 146,097 days, and the months
     * before a month have (153 * month + 2) / 5. */
    uint32_t days = sec / 86400 + 719468, era = days / 146097, day = days % 146097;
    uint32_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    day -= 365 * year + year / 4 - year / 100;
    uint32_t month = (5 * day + 2) / 153;
    day = day - (153 * month + 2) / 5 + 1;
    year = era * 400 + year + (month >= 10), month = month < 10 ? month + 3 : month - 9;
    uint32_t parts[7] = {year, month, day, sec / 3600 % 24, sec / 60 % 60, sec % 60, nsec};
    if (!flb_room(r, 31)) return;
    flb_write_byte(r, 0xa0 | 30);
    for (int i = 0; i < 7; i++) {
        int width = i == 0 ? 4 : i == 6 ? 9 : 2;
        for (int at = width; at-- > 0; parts[i] /= 10) r->out[at] = (uint8_t)('0' + parts[i] % 10);
        r->out[width] = (uint8_t)("--T::.Z"[i]);
        r->out += width + 1;
    }
}

/* ---- Edits ---- */

FLB_INLINE void *flb_list(flb_record *r, uint32_t size) {
    if ((uint32_t)(r->list_end - r->list) < size) return r->is_full = true, (void *)NULL;
    r->list += size;
    return r->list - size;
}
FLB_INLINE void flb_edit(flb_record *r, uint32_t kind, const void *key, uint32_t key_len, const void *value, uint32_t len) {
    struct flb_edit *e = (struct flb_edit *)flb_list(r, sizeof *e);
    if (e) e->kind = kind | key_len << 8, e->key = key, e->value = value, e->len = len;
}
/* An edit with the value that was written from `value` on: `uint8_t *value = r->out; flb_write_int(r, 5); flb_set(r, "n", value);`. */
FLB_INLINE void flb_set_n(flb_record *r, const char *key, uint32_t len, const uint8_t *value) {
    flb_edit(r, FLB_SET, key, len, value, (uint32_t)(r->out - value));
}
FLB_INLINE void flb_append_n(flb_record *r, const char *key, uint32_t len, const uint8_t *value) {
    flb_edit(r, FLB_APPEND, key, len, value, (uint32_t)(r->out - value));
}
/* Sets a member: every one of this name, in its place; if there is none, behind the others. */
#define flb_set(record_, literal, value_) flb_set_n(record_, "" literal, sizeof(literal) - 1, value_)
/* Adds a member behind the others, without looking whether there is one of this name: the cheapest way to add. */
#define flb_append(record_, literal, value_) flb_append_n(record_, "" literal, sizeof(literal) - 1, value_)
/* Takes every member of this name away; gives every one another name. */
#define flb_delete(record_, literal) flb_edit(record_, FLB_DELETE, "" literal, sizeof(literal) - 1, NULL, 0)
#define flb_rename(record_, literal, new_) \
    flb_edit(record_, FLB_RENAME, "" literal, sizeof(literal) - 1, "" new_, sizeof(new_) - 1)
/* The same for the metadata, in which keys and values are given as above. */
#define flb_set_metadata(record_, literal, value_) \
    flb_edit(record_, FLB_METADATA | FLB_SET, "" literal, sizeof(literal) - 1, value_, (uint32_t)((record_)->out - (value_)))
#define flb_delete_metadata(record_, literal) \
    flb_edit(record_, FLB_METADATA | FLB_DELETE, "" literal, sizeof(literal) - 1, NULL, 0)

/* Puts a value, written as for flb_set, in the place of one of the record's, at any depth, in its body or its metadata. Where there is
 * none nothing happens. A value may be replaced alone or with the one that it is in, but not both. */
FLB_FN void flb_put(flb_record *r, flb_value old, const uint8_t *value) {
    if (!old) return;
    bool in_body = old >= r->rec->body;
    uint32_t kind = in_body ? FLB_PUT : FLB_PUT | FLB_METADATA;
    uintptr_t place = (uintptr_t)(old - (in_body ? r->rec->body : r->rec->meta));
    struct flb_edit mine = {kind, (const void *)place, value, (uint32_t)(r->out - value)};
    struct flb_edit *last = (struct flb_edit *)flb_list(r, sizeof mine), *to = last;
    if (!last) return;
    /* The ABI wants puts in the order in which the values stand, and one for each. */
    for (struct flb_edit *e = last; e > (struct flb_edit *)r->first_list;) {
        if ((--e)->kind != kind) continue;
        if ((uintptr_t)e->key < place) break;
        if ((uintptr_t)e->key == place) {
            r->list -= sizeof mine;
            *e = mine;
            return;
        }
        to = e;
    }
    for (; last > to; last--) *last = last[-1];
    *to = mine;
}
/* Puts a map, written as for flb_set, in the place of the whole body. Other edits of the body cannot stand beside it. */
FLB_INLINE void flb_replace(flb_record *r, const uint8_t *map) {
    flb_edit(r, FLB_ALL, NULL, 0, map, (uint32_t)(r->out - map));
}
/* Gives the record another time. */
FLB_INLINE void flb_set_time(flb_record *r, uint32_t sec, uint32_t nsec) {
    flb_edit(r, FLB_TIME, (const void *)(uintptr_t)sec, 0, (const void *)(uintptr_t)nsec, 0);
}
/* Lets it go on under another tag, which is copied. */
FLB_INLINE void flb_set_tag(flb_record *r, const char *tag, uint32_t len) {
    const uint8_t *copy = r->out;
    flb_write(r, tag, len);
    flb_edit(r, FLB_TAG, NULL, 0, copy, len);
}
/* What is needed most: edits with a text. */
FLB_INLINE void flb_set_text_n(flb_record *r, const char *key, uint32_t key_len, const char *text, uint32_t len) {
    const uint8_t *value = r->out;
    flb_write_text(r, text, len);
    flb_set_n(r, key, key_len, value);
}
FLB_INLINE void flb_append_text_n(flb_record *r, const char *key, uint32_t key_len, const char *text, uint32_t len) {
    const uint8_t *value = r->out;
    flb_write_text(r, text, len);
    flb_append_n(r, key, key_len, value);
}
FLB_INLINE void flb_put_text(flb_record *r, flb_value old, const char *text, uint32_t len) {
    const uint8_t *value = r->out;
    flb_write_text(r, text, len);
    flb_put(r, old, value);
}
#define flb_set_text(record_, literal, text_, len_) flb_set_text_n(record_, "" literal, sizeof(literal) - 1, text_, len_)
#define flb_append_text(record_, literal, text_, len_) flb_append_text_n(record_, "" literal, sizeof(literal) - 1, text_, len_)

/* ---- Parts ---- */

/* From here on the record becomes several, or none: the parts that are added, in their order. Its edits are forgotten. */
FLB_INLINE void flb_split(flb_record *r) { r->list = r->first_list, r->is_split = true, r->parts = 0; }
/* One more part, which is as the record came. Its maps are addresses and lengths: of the record's own, or of what was written. */
FLB_INLINE struct flb_part *flb_add_part(flb_record *r) {
    static struct flb_part nowhere;
    struct flb_part *p = (struct flb_part *)flb_list(r, sizeof *p);
    if (!p) return &nowhere;
    r->parts++;
    p->sec = r->rec->sec, p->nsec = r->rec->nsec;
    p->meta = p->body = p->tag = NULL, p->meta_len = p->body_len = p->tag_len = 0;
    return p;
}

/* ---- Failures ---- */

/* Makes the record a failure, for this reason: `return flb_fail(record, "no user", 7);`. The text is copied. */
FLB_INLINE flb_verdict flb_fail(flb_record *r, const char *why, uint32_t len) {
    const uint8_t *copy = r->out;
    flb_write(r, why, len);
    r->rec->at = copy, r->rec->len = (uint32_t)(r->out - copy);
    return FLB_FAIL;
}

/* Ends the guest for a reason, which the failure tells with file and line: `flb_panic(record, "too deep")`. The record in hand is lost
 * to it, and no other. */
FLB_FN __attribute__((noreturn)) void flb_panic_at(flb_record *r, const char *why, const char *file, uint32_t line) {
    char digits[10];
    uint8_t *words = r->batch->out + r->batch->out_cap - FLB_LAST_WORDS, *to = words, *end = words + FLB_LAST_WORDS - 16;
    const char *texts[3] = {why, " at ", file};
    int count = 0;
    for (int i = 0; i < 3; i++) {
        for (const char *c = texts[i]; *c && to < end; c++) *to++ = (uint8_t)*c;
    }
    *to++ = ':';
    do digits[count++] = (char)('0' + line % 10);
    while (line /= 10);
    while (count > 0) *to++ = (uint8_t)digits[--count];
    r->rec->at = words, r->rec->len = (uint32_t)(to - words);
    *(volatile uint32_t *)&r->rec->verdict = FLB_FAIL;
    __builtin_trap();
}
#define flb_panic(record_, why_) flb_panic_at(record_, why_, __FILE__, __LINE__)

/* ---- The loop around a filter ---- */

FLB_INLINE uint32_t flb_run(struct flb_batch *b, flb_verdict (*filter)(flb_record *)) {
    uint32_t room = (b->out_cap - FLB_LAST_WORDS) & ~15u, count = b->count;
    flb_record r;
    r.batch = b;
    r.out = b->out, r.out_end = b->out + (room / 4 * 3 & ~15u);
    r.list = r.out_end, r.list_end = b->out + room;
    r.is_full = false;
    for (uint32_t i = b->next; i < count; i++) {
        /* What was decided before must be in memory before. */
        __asm__ volatile("" ::: "memory");
        *(volatile uint32_t *)&b->next = i;
        r.rec = (struct flb_rec *)((uint8_t *)b->recs + i * b->rec_size);
        r.first_out = r.out, r.first_list = r.list, r.is_split = false, r.parts = 0;
        flb_verdict verdict = filter(&r);
        if (verdict == FLB_DROP) {
            r.out = r.first_out, r.list = r.first_list, r.is_full = false;
            r.rec->verdict = 1;
            continue;
        }
        if (r.is_full) return 1;
        if (verdict == FLB_FAIL) {
            r.rec->verdict = 5;
        } else if (r.is_split) {
            r.rec->at = r.first_list, r.rec->len = r.parts, r.rec->verdict = 4;
        } else if (r.list != r.first_list) {
            r.rec->at = r.first_list;
            r.rec->len = (uint32_t)((r.list - r.first_list) / (ptrdiff_t)sizeof(struct flb_edit));
            r.rec->verdict = 2;
        }
    }
    __asm__ volatile("" ::: "memory");
    *(volatile uint32_t *)&b->next = count;
    return 0;
}

#ifdef __wasm__
#define FLB_EXPORT(name) __attribute__((export_name(#name), used))
#else
#define FLB_EXPORT(name) __attribute__((used))
#endif
/* Says that the module knows the batch ABI; weak, so that each source file of a module may say it. */
FLB_EXTERN FLB_EXPORT(flb_batch_1) __attribute__((weak)) void flb_batch_1(void) {}

/* Exports `static flb_verdict name(flb_record *)` as the filter `name`. */
#define FLB_FILTER(name) \
    FLB_EXTERN FLB_EXPORT(name) uint32_t flb_batch_##name(struct flb_batch *flb_block) { return flb_run(flb_block, name); }

/* Exports `static const char *name(struct flb_start *)` as what is called once, before the first record: NULL, or a text that says why
 * the filter cannot start. */
#define FLB_START(name)                                                                  \
    FLB_EXTERN FLB_EXPORT(flb_start) uint32_t flb_start_##name(struct flb_start *flb_block) { \
        const char *flb_why = name(flb_block);                                           \
        if (!flb_why) return 0;                                                          \
        flb_block->reason = flb_why, flb_block->reason_len = 0;                          \
        while (flb_why[flb_block->reason_len]) flb_block->reason_len++;                  \
        return 1;                                                                        \
    }

#endif
