/* A filter that fails in a function of its own, built with debug information:
 *
 *   clang --target=wasm32 -g -O1 -nostdlib -fdebug-compilation-dir=. -Wl,--no-entry -Wl,--export=filter -o places.wasm places.c
 */

__attribute__((noinline)) static int refuse(const char *record) {
    if (record[2] == 'x')
        __builtin_trap();
    volatile int turns = 1;
    while (record[2] == 'y')
        turns++;
    return turns;
}

const char *filter(const char *tag, int tag_len, int sec, int nsec, const char *record, int record_len) {
    return refuse(record) > 0 ? record : 0;
}
