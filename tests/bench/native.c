/* A filter as native code, for `cargo xtask bench call`: `native FILE RECORDS` calls it with the lines of a file, over and over,
 * and prints the nanoseconds of CPU time that a call took. FILTER is the function's name; a filter of another file is linked to
 * this one, small ones are below. As around a sandboxed call, the record is copied in and the answer is copied out. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TAG "bench"

char *FILTER(char *tag, int tag_len, uint32_t sec, uint32_t nsec, char *record, int len);

static char made[1 << 20];

char *drop(char *tag, int tag_len, uint32_t sec, uint32_t nsec, char *record, int len)
{
    return "";
}

char *echo(char *tag, int tag_len, uint32_t sec, uint32_t nsec, char *record, int len)
{
    return record;
}

/* Twin of tests/filter/modules/enrich.wat. */
char *append(char *tag, int tag_len, uint32_t sec, uint32_t nsec, char *record, int len)
{
    char *to = made + len - 1;
    memcpy(made, record, len - 1);
    memcpy(to, ",\"tag\":\"", 8);
    memcpy(to + 8, tag, tag_len);
    memcpy(to + 8 + tag_len, "\"}", 3);
    return made;
}

/* Twin of tests/filter/modules/redact.wat. */
char *redact(char *tag, int tag_len, uint32_t sec, uint32_t nsec, char *record, int len)
{
    for (char *at = record; *at; at++) {
        if (memcmp(at, "\"password\":\"", 12) == 0) {
            for (at += 12; *at != '"'; at++) {
                *at = '*';
            }
            break;
        }
    }
    return record;
}

static uint64_t cpu_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

int main(int argc, char **argv)
{
    static char text[16 << 20];
    static char record[1 << 20];
    static char answer[1 << 20];
    FILE *file = argc == 3 ? fopen(argv[1], "r") : NULL;
    if (file == NULL) {
        fprintf(stderr, "native FILE RECORDS\n");
        return 2;
    }
    size_t size = fread(text, 1, sizeof text - 1, file);
    long records = atol(argv[2]), seen = 0;
    uint64_t begun = cpu_time();
    for (char *line = text; seen < records; seen++) {
        char *end = memchr(line, '\n', text + size - line);
        int len = end - line;
        memcpy(record, line, len);
        record[len] = 0;
        char *said = FILTER(TAG, sizeof TAG - 1, 1700000000, 5, record, len);
        memcpy(answer, said, strlen(said) + 1);
        line = end + 1 < text + size ? end + 1 : text;
    }
    printf("%.1f\n", (double)(cpu_time() - begun) / records);
    return 0;
}
