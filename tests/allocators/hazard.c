// A filter that allocates with every call; see README.md.
#include <stddef.h>
#include <stdint.h>

#ifdef FREESTANDING
extern unsigned char __heap_base;
static uintptr_t top;

static void *malloc(size_t size) {
    if (top == 0) top = (uintptr_t)&__heap_base;
    uintptr_t at = (top + 15) & ~(uintptr_t)15;
    uintptr_t end = __builtin_wasm_memory_size(0) << 16;
    if (at + size > end) {
        size_t pages = (at + size - end + 0xffff) >> 16;
        if (__builtin_wasm_memory_grow(0, pages) == (size_t)-1) return NULL;
    }
    top = at + size;
    return (void *)at;
}

static void free(void *block) { (void)block; }
#else
#include <stdlib.h>
#endif

#define KEPT 32
#define ENOUGH (64u << 20)

static const size_t SIZES[] = {40, 4000, 70000, 1048576};
static unsigned char *volatile blocks[KEPT];
static unsigned calls;
static size_t allocated;

// Volatile: to the compiler, no allocation changes anything else.
static uint64_t sum(const volatile unsigned char *text, size_t length) {
    uint64_t sum = 14695981039346656037u;
    for (size_t i = 0; i < length; i++) sum = (sum ^ text[i]) * 1099511628211u;
    return sum;
}

// Allocates, overwrites, and frees what was allocated 32 calls ago.
static void churn(void) {
    unsigned slot = calls % KEPT;
    size_t size = SIZES[calls++ % 4];
    free(blocks[slot]);
    blocks[slot] = NULL;
    if (allocated > ENOUGH) return;
    unsigned char *block = malloc(size);
    if (block == NULL) return;
    allocated += size;
    for (size_t i = 0; i < size; i++) block[i] = 0x5a;
    blocks[slot] = block;
}

__attribute__((export_name("hazard"))) const unsigned char *hazard(
    const unsigned char *tag, uint32_t tag_len, uint32_t sec, uint32_t nsec,
    const unsigned char *record, uint32_t record_len) {
    (void)sec;
    (void)nsec;
    uint64_t before = sum(tag, tag_len) ^ sum(record, record_len);
    churn();
    uint64_t after = sum(tag, tag_len) ^ sum(record, record_len);
    return before == after ? record : NULL;
}
