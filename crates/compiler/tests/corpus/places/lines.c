/* A filter whose one function fails on several lines, two of them in functions that are inlined, of which one is a library's. Built
 * with debug information:
 *
 *   clang --target=wasm32 -g -O2 -nostdlib -fdebug-compilation-dir=. -Wl,--no-entry -Wl,--export=filter -o lines.wasm lines.c
 */

#line 900 "/rustc/0/library/core/src/option.rs"
static inline int unwrap(int value) {
    return 1000 / (value - 'u');
}
#line 12 "lines.c"

static inline int half(const char *record, int by) {
    return record[0] / by;
}

__attribute__((noinline)) static int decide(const char *record) {
    int answer = record[2];
    if (answer == 't')
        __builtin_trap();
    volatile int turns = 1;
    if (answer == 'o')
        answer = *(const volatile int *)(0x7fff0000 + turns);
    while (answer == 'l')
        turns++;
    turns += unwrap(answer);
    turns += half(record, record[2] - 'd');
    return turns;
}

const char *filter(const char *tag, int tag_len, int sec, int nsec, const char *record, int record_len) {
    int answer = decide(record);
    return answer > 0 ? record : 0;
}
