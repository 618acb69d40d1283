// A log filter in C: adds to every record the language it was seen by, its tag, its time in words and its original text.
//
//     clang --target=wasm32 -O2 -mbulk-memory -ffreestanding -I ../../../sdk/c -c filter.c
//     wasm-ld --no-entry --strip-all --stack-first -o ../enrich-c.wasm filter.o

#include "flb_filter.h"

static flb_verdict enrich(flb_record *record) {
    struct flb_rec *rec = record->rec;
    flb_append_text(record, "lang", "C", 1);
    flb_append_text(record, "tag", record->batch->tag, record->batch->tag_len);

    uint8_t *value = record->out;
    flb_write_time(record, rec->sec, rec->nsec);
    flb_append(record, "time", value);

    value = record->out;
    flb_write_json(record, rec->body, (uint32_t)(rec->end - rec->body));
    flb_append(record, "original", value);
    return FLB_KEEP;
}
FLB_FILTER(enrich)
