// The filters of the conformance suite, in C. README.md in the folder above says what each one does.

#include "flb_filter.h"

static uint32_t seen, sizes;

static const char *start(struct flb_start *start) {
    static const double bounds[] = {2, 10};
    seen = flb_counter("seen", 4);
    sizes = flb_histogram("sizes", 5, bounds, 2);
    return flb_member(start->config, "refuse") ? "told to refuse" : NULL;
}
FLB_START(start)

static flb_verdict keep(flb_record *r) {
    (void)r;
    return FLB_KEEP;
}
FLB_FILTER(keep)

static flb_verdict drop_debug(flb_record *r) { return flb_is(flb_get(r, "level"), "debug") ? FLB_DROP : FLB_KEEP; }
FLB_FILTER(drop_debug)

static flb_verdict grep(flb_record *r) {
    flb_value level = flb_get(r, "level");
    int64_t status;
    bool is_bad = flb_is(level, "warn") || flb_is(level, "error");
    return is_bad && flb_int(flb_get(r, "status"), &status) && status >= 400 ? FLB_KEEP : FLB_DROP;
}
FLB_FILTER(grep)

static flb_verdict append(flb_record *r) {
    flb_append_text(r, "env", "production", 10);
    return FLB_KEEP;
}
FLB_FILTER(append)

static flb_verdict set(flb_record *r) {
    flb_set_text(r, "level", "notice", 6);
    uint8_t *value = r->out;
    flb_write_int(r, -129);
    flb_set(r, "n", value);
    value = r->out;
    flb_write_uint(r, UINT64_MAX);
    flb_set(r, "big", value);
    value = r->out;
    flb_write_float(r, 0.5);
    flb_set(r, "half", value);
    value = r->out;
    flb_write_bool(r, true);
    flb_set(r, "yes", value);
    value = r->out;
    flb_write_nil(r);
    flb_set(r, "none", value);
    value = r->out;
    flb_write_binary(r, "\0\xff", 2);
    flb_set(r, "raw", value);
    return FLB_KEEP;
}
FLB_FILTER(set)

static flb_verdict forget(flb_record *r) {
    flb_delete(r, "id");
    return FLB_KEEP;
}
FLB_FILTER(forget)

static flb_verdict name(flb_record *r) {
    flb_rename(r, "svc", "service");
    return FLB_KEEP;
}
FLB_FILTER(name)

static flb_verdict mend(flb_record *r) {
    flb_value http = flb_get(r, "http"), path = flb_member(http, "path"), status = flb_member(http, "status");
    uint8_t *value = r->out;
    int64_t number;
    if (flb_int(status, &number)) flb_write_int(r, number + 1);
    else flb_write_nil(r);
    flb_put(r, status, value);
    flb_put_text(r, path, "first", 5);
    value = r->out;
    flb_write_bool(r, true);
    flb_set(r, "mended", value);
    flb_put_text(r, path, "/", 1);
    return FLB_KEEP;
}
FLB_FILTER(mend)

static flb_verdict wrap(flb_record *r) {
    uint8_t *map = r->out;
    flb_write_map(r, 3);
    flb_write_text(r, "tags", 4);
    flb_write_array(r, 1);
    flb_write_text(r, r->batch->tag, r->batch->tag_len);
    flb_write_text(r, "message", 7);
    flb_write_value(r, flb_get(r, "message"));
    flb_write_text(r, "n", 1);
    flb_write_uint(r, flb_len(r->rec->body));
    flb_replace(r, map);
    return FLB_KEEP;
}
FLB_FILTER(wrap)

static flb_verdict split(flb_record *r) {
    uint32_t index = 0;
    flb_split(r);
    flb_value items = flb_get(r, "items");
    if (flb_kind_of(items) != FLB_ARRAY) return FLB_KEEP;
    for (flb_iter i = flb_iterate(items); flb_next(&i); index++) {
        struct flb_part *part = flb_add_part(r);
        part->sec += index;
        part->tag = "item", part->tag_len = 4;
        part->body = i.value, part->body_len = flb_size(i.value);
        part->meta = r->out;
        flb_write_map(r, 1);
        flb_write_text(r, "i", 1);
        flb_write_uint(r, index);
        part->meta_len = (uint32_t)(r->out - (const uint8_t *)part->meta);
    }
    return FLB_KEEP;
}
FLB_FILTER(split)

static flb_verdict refuse(flb_record *r) {
    if (flb_get(r, "user")) return FLB_KEEP;
    uint8_t *why = r->out;
    flb_write(r, "no user in ", 11);
    flb_write(r, r->batch->tag, r->batch->tag_len);
    return flb_fail(r, (const char *)why, (uint32_t)(r->out - why));
}
FLB_FILTER(refuse)

static flb_verdict crash(flb_record *r) {
    if (flb_get(r, "crash")) flb_panic(r, "as asked");
    return FLB_KEEP;
}
FLB_FILTER(crash)

static flb_verdict enrich(flb_record *r) {
    flb_set_text(r, "tag", r->batch->tag, r->batch->tag_len);
    uint8_t *value = r->out;
    flb_write_time(r, r->rec->sec, r->rec->nsec);
    flb_set(r, "time", value);
    value = r->out;
    flb_write_json(r, r->rec->body, (uint32_t)(r->rec->end - r->rec->body));
    flb_set(r, "original", value);
    return FLB_KEEP;
}
FLB_FILTER(enrich)

static bool is_secret(flb_value key) {
    static const struct { const char *name; uint32_t len; } secrets[] = {{"cookie", 6}, {"password", 8}, {"token", 5}};
    const char *text;
    uint32_t len;
    if (!flb_text(key, &text, &len)) return false;
    for (int i = 0; i < 3; i++) {
        uint32_t at = 0;
        if (len != secrets[i].len) continue;
        while (at < len && (text[at] >= 'A' && text[at] <= 'Z' ? text[at] + 32 : text[at]) == secrets[i].name[at]) at++;
        if (at == len) return true;
    }
    return false;
}

// Everything beyond ASCII is a letter.
static bool is_letter(char c) { return (c & 0x80) || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c >= '0' && c <= '9'); }
static bool is_name(char c) { return is_letter(c) || c == '.' || c == '_' || c == '%' || c == '+' || c == '-'; }

// `from jane.doe@example.com` -> `from ***@example.com`
static void mask(flb_record *r, flb_value old, const char *text, uint32_t len) {
    uint8_t *value = flb_begin_text(r);
    const char *rest = text, *end = text + len;
    for (const char *at = text; at < end; at++) {
        if (*at != '@') continue;
        const char *name = at;
        while (name > rest && is_name(name[-1])) name--;
        if (name < at && at + 1 < end && is_letter(at[1])) {
            flb_write(r, rest, (uint32_t)(name - rest));
            flb_write(r, "***@", 4);
        } else {
            flb_write(r, rest, (uint32_t)(at + 1 - rest));
        }
        rest = at + 1;
    }
    flb_write(r, rest, (uint32_t)(end - rest));
    flb_end_text(r, value);
    flb_put(r, old, value);
}

static void walk(flb_record *r, flb_value list) {
    for (flb_iter i = flb_iterate(list); flb_next(&i);) {
        const char *text;
        uint32_t len;
        if (is_secret(i.key)) {
            flb_put_text(r, i.value, "***", 3);
        } else if (!flb_text(i.value, &text, &len)) {
            walk(r, i.value);
        } else {
            uint32_t at = 0;
            while (at < len && text[at] != '@') at++;
            if (at < len) mask(r, i.value, text, len);
        }
    }
}

static flb_verdict redact(flb_record *r) {
    walk(r, r->rec->body);
    return FLB_KEEP;
}
FLB_FILTER(redact)

static flb_verdict configured(flb_record *r) {
    uint8_t *value = r->out;
    flb_write_value(r, flb_config(r, "env"));
    flb_set(r, "env", value);
    return FLB_KEEP;
}
FLB_FILTER(configured)

static flb_verdict kinds(flb_record *r) {
    static const char *const names[] = {"missing ", "nil ", "bool ", "int ", "float ",
                                        "text ", "binary ", "extension ", "array ", "map "};
    uint8_t *map = r->out;
    flb_write_map(r, 1);
    flb_write_text(r, "kinds", 5);
    uint8_t *text = flb_begin_text(r);
    for (flb_iter i = flb_iterate(r->rec->body); flb_next(&i);) {
        for (const char *c = names[flb_kind_of(i.value)]; *c; c++) flb_write(r, c, 1);
    }
    flb_end_text(r, text);
    flb_replace(r, map);
    return FLB_KEEP;
}
FLB_FILTER(kinds)

// A value that is read and written again takes its shortest form.
static void copy_value(flb_record *r, flb_value value) {
    bool yes;
    int64_t number;
    uint64_t large;
    double real;
    const char *text;
    const uint8_t *bytes;
    uint32_t len;
    switch (flb_kind_of(value)) {
    case FLB_MISSING: case FLB_NIL: flb_write_nil(r); break;
    case FLB_BOOL: if (flb_bool(value, &yes)) flb_write_bool(r, yes); break;
    case FLB_INT:
        if (flb_int(value, &number)) flb_write_int(r, number);
        else if (flb_uint(value, &large)) flb_write_uint(r, large);
        break;
    case FLB_FLOAT: if (flb_float(value, &real)) flb_write_float(r, real); break;
    case FLB_TEXT: if (flb_text(value, &text, &len)) flb_write_text(r, text, len); break;
    case FLB_BINARY: if (flb_binary(value, &bytes, &len)) flb_write_binary(r, bytes, len); break;
    case FLB_EXTENSION: flb_write_value(r, value); break;
    case FLB_ARRAY:
        flb_write_array(r, flb_len(value));
        for (flb_iter i = flb_iterate(value); flb_next(&i);) copy_value(r, i.value);
        break;
    case FLB_MAP:
        flb_write_map(r, flb_len(value));
        for (flb_iter i = flb_iterate(value); flb_next(&i);) copy_value(r, i.key), copy_value(r, i.value);
        break;
    }
}

static flb_verdict copy(flb_record *r) {
    uint8_t *map = r->out;
    copy_value(r, r->rec->body);
    flb_replace(r, map);
    return FLB_KEEP;
}
FLB_FILTER(copy)

static flb_verdict ends(flb_record *r) {
    uint8_t *value = r->out;
    flb_write_value(r, flb_first(r->rec->body, "level"));
    flb_set(r, "first", value);
    value = r->out;
    flb_write_value(r, flb_get(r, "level"));
    flb_set(r, "last", value);
    return FLB_KEEP;
}
FLB_FILTER(ends)

static flb_verdict meta(flb_record *r) {
    flb_put_text(r, flb_member(r->rec->meta, "n"), "changed", 7);
    uint8_t *value = r->out;
    flb_write_bool(r, true);
    flb_set_metadata(r, "seen", value);
    flb_delete_metadata(r, "secret");
    return FLB_KEEP;
}
FLB_FILTER(meta)

static flb_verdict move_on(flb_record *r) {
    flb_set_tag(r, "moved", 5);
    flb_set_time(r, r->rec->sec + 1, 7);
    return FLB_KEEP;
}
FLB_FILTER(move_on)

static flb_verdict digest(flb_record *r) {
    uint8_t bytes[32];
    flb_sha256(r->rec->body, flb_size(r->rec->body), bytes);
    uint8_t *value = flb_begin_text(r);
    for (int i = 0; i < 32; i++) {
        flb_write_byte(r, (uint8_t)"0123456789abcdef"[bytes[i] >> 4]);
        flb_write_byte(r, (uint8_t)"0123456789abcdef"[bytes[i] & 15]);
    }
    flb_end_text(r, value);
    flb_set(r, "sha256", value);
    return FLB_KEEP;
}
FLB_FILTER(digest)

static flb_verdict count(flb_record *r) {
    flb_add(seen, 1);
    flb_observe(sizes, flb_len(r->rec->body));
    flb_log(3, "counted", 7);
    return FLB_KEEP;
}
FLB_FILTER(count)

static flb_verdict grow(flb_record *r) {
    uint64_t size = 0;
    flb_uint(flb_get(r, "size"), &size);
    uint8_t *value = flb_begin_text(r);
    while (size-- > 0) flb_write_byte(r, 'x');
    flb_end_text(r, value);
    flb_append(r, "big", value);
    return FLB_KEEP;
}
FLB_FILTER(grow)
