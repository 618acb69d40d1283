// A log filter in C: adds to every record the SHA-256 of its text, so that whoever gets it can tell whether it was altered on the way.
//
//     clang --target=wasm32 -O2 -mbulk-memory -ffreestanding -I ../../../sdk/c -c filter.c
//     wasm-ld --no-entry --strip-all --stack-first -o ../sha256-c.wasm filter.o

#include "flb_filter.h"

static flb_verdict sha256(flb_record *record) {
    struct flb_rec *rec = record->rec;
    uint8_t *json = record->out, digest[32], digits[64];
    const char *text;
    uint32_t len;
    flb_write_json(record, rec->body, (uint32_t)(rec->end - rec->body));
    // Without room there is no text; the filter is called again with more.
    if (record->is_full || !flb_text(json, &text, &len)) return FLB_KEEP;
    flb_sha256(text, len, digest);
    record->out = json; // nobody needs the text any more

    for (int i = 0; i < 64; i++) {
        digits[i] = (uint8_t)"0123456789abcdef"[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
    }
    flb_append_text(record, "sha256", (const char *)digits, sizeof digits);
    return FLB_KEEP;
}
FLB_FILTER(sha256)
