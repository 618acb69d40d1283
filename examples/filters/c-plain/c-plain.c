// A log filter in C without a C library of its own: what it calls is imported, and the agent has it.
//
//     clang --target=wasm32-wasi -O3 -nostdlib -Wall -Wextra -Wl,--no-entry -Wl,--allow-undefined \
//         -Wl,--strip-all -o c-plain.wasm c-plain.c
//
// It makes a module of 412 bytes. docs/abi.md lists the functions that are there.

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What the answer has beside tag and record, and more.
#define ROOM 128

// Called by the agent for every record; answers with a new one, that holds the old one, as JSON text
// that ends with a NUL. A record that there is no memory for is handed back as it came.
__attribute__((export_name("c_filter"))) const char *c_filter(
    const char *tag, uint32_t tag_len, uint32_t sec, uint32_t nsec,
    const char *record, uint32_t record_len) {
    size_t size = tag_len + record_len + ROOM;
    char *answer = malloc(size);
    if (answer == NULL) {
        printf("no memory for %zu bytes\n", size);
        return record;
    }
    snprintf(answer, size, "{\"lang\":\"C\",\"tag\":\"%s\",\"time\":\"%" PRIu32 ".%09" PRIu32 "\",\"original\":%s}",
             tag, sec, nsec, record);
    return answer;
}

// Called by the agent when it has read an answer.
__attribute__((export_name("flb_free_result"))) void flb_free_result(char *answer) { free(answer); }
