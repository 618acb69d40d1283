// A log filter in C: puts every record into a new one, beside its tag and its time.
//
//     clang --target=wasm32 -O2 -mbulk-memory -ffreestanding -I ../../../sdk/c -c filter.c
//     wasm-ld --no-entry --strip-all --stack-first -o ../wrap-c.wasm filter.o

#include "flb_filter.h"

// A number in decimal, with zeros in front up to `width` digits, or as many as it needs.
static void write_number(flb_record *record, uint32_t number, uint32_t width) {
    uint8_t digits[10];
    uint32_t count = 0;
    do digits[9 - count++] = (uint8_t)('0' + number % 10), number /= 10;
    while (number > 0 || count < width);
    flb_write(record, digits + 10 - count, count);
}

static flb_verdict wrap(flb_record *record) {
    struct flb_rec *rec = record->rec;
    uint8_t *map = record->out;
    flb_write_map(record, 4);
    flb_write_text(record, "lang", 4);
    flb_write_text(record, "C", 1);
    flb_write_text(record, "tag", 3);
    flb_write_text(record, record->batch->tag, record->batch->tag_len);
    flb_write_text(record, "time", 4);
    uint8_t *time = flb_begin_text(record);
    write_number(record, rec->sec, 1);
    flb_write(record, ".", 1);
    write_number(record, rec->nsec, 9);
    flb_end_text(record, time);
    flb_write_text(record, "original", 8);
    flb_write(record, rec->body, (uint32_t)(rec->end - rec->body));
    flb_replace(record, map);
    return FLB_KEEP;
}
FLB_FILTER(wrap)
