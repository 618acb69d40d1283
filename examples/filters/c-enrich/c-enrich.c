// A log filter in C: adds to every record the language it was seen by, its tag, its time in words
// and its original text.
//
//     clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wextra -Wl,--strip-all \
//         -Wl,--export=malloc -Wl,--export=free -o c-enrich.wasm c-enrich.c
//
// With malloc and free exported, the agent asks them for the room that tag and record need, so a
// record may be as long as memory lasts.

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The answer to the last call. The agent copies it before it calls again, so one buffer serves all
// records; it grows when a record needs it to.
static char *answer;
static size_t capacity;
static size_t length;
static bool out_of_memory;

static void put(const char *text, size_t len) {
    if (len > capacity - length) {
        size_t wanted = 2 * capacity + len;
        char *grown = wanted > capacity ? realloc(answer, wanted) : NULL;
        if (grown == NULL) {
            out_of_memory = true;
            return;
        }
        answer = grown;
        capacity = wanted;
    }
    memcpy(answer + length, text, len);
    length += len;
}

static void put_text(const char *text) { put(text, strlen(text)); }

// A number in decimal, with zeros in front up to `width` digits.
static void put_number(uint32_t number, int width) {
    char digits[10];
    for (int i = width; i-- > 0; number /= 10) digits[i] = '0' + number % 10;
    put(digits, width);
}

// A text in quotes, as JSON wants it.
static void put_string(const char *text, size_t len) {
    put_text("\"");
    for (size_t i = 0; i < len; i++) {
        unsigned char c = text[i];
        if (c == '"' || c == '\\') {
            put((char[]){'\\', c}, 2);
        } else if (c < 0x20) {
            put((char[]){'\\', 'u', '0', '0', '0' + (c >> 4), "0123456789abcdef"[c & 15]}, 6);
        } else {
            put((char[]){c}, 1);
        }
    }
    put_text("\"");
}

// The time by RFC 3339, in UTC: "2026-11-22T13:49:40.917655454Z".
static void put_time(uint32_t sec, uint32_t nsec) {
    struct tm t;
    gmtime_r(&(time_t){sec}, &t);
    put_text("\"");
    put_number(t.tm_year + 1900, 4);
    put_text("-");
    put_number(t.tm_mon + 1, 2);
    put_text("-");
    put_number(t.tm_mday, 2);
    put_text("T");
    put_number(t.tm_hour, 2);
    put_text(":");
    put_number(t.tm_min, 2);
    put_text(":");
    put_number(t.tm_sec, 2);
    put_text(".");
    put_number(nsec, 9);
    put_text("Z\"");
}

// Called by the agent for every record; answers with the new record, as JSON text that ends with a
// NUL. An empty text would drop the record. One that is no JSON object is handed back as it came,
// and so is one that there is no memory for.
__attribute__((export_name("c_filter"))) const char *c_filter(
    const char *tag, size_t tag_len, uint32_t sec, uint32_t nsec,
    const char *record, size_t record_len) {
    if (record_len < 2 || record[0] != '{' || record[record_len - 1] != '}') return record;

    length = 0;
    out_of_memory = false;
    put(record, record_len - 1);  // all of it but the closing brace: our keys go before that
    put_text(record_len == 2 ? "\"lang\":\"C\"" : ",\"lang\":\"C\"");
    put_text(",\"tag\":");
    put_string(tag, tag_len);
    put_text(",\"time\":");
    put_time(sec, nsec);
    put_text(",\"original\":");
    put_string(record, record_len);
    put("}", 2);  // with its NUL
    return out_of_memory ? record : answer;
}
