// A log filter in C: adds to every record the SHA-256 of its text, so that whoever gets it can tell
// whether it was altered on the way.
//
//     clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wextra -Wl,--strip-all \
//         -Wl,--export=malloc -Wl,--export=free -o c-sha256.wasm c-sha256.c
//
// With malloc and free exported, the agent asks them for the room that tag and record need, so a
// record may be as long as memory lasts.

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// FIPS 180-4, 4.2.2 and 5.3.3.
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

// Takes 64 bytes more into the state: FIPS 180-4, 6.2.2.
static void take(uint32_t state[8], const uint8_t *block) {
    uint32_t w[64];
    for (int t = 0; t < 16; t++, block += 4) {
        w[t] = (uint32_t)block[0] << 24 | block[1] << 16 | block[2] << 8 | block[3];
    }
    for (int t = 16; t < 64; t++) {
        uint32_t s0 = turn(w[t - 15], 7) ^ turn(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = turn(w[t - 2], 17) ^ turn(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        uint32_t s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
        uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t];
        uint32_t s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
        uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

// Writes the digest of a text as 64 hexadecimal digits.
static void digest(const char *text, size_t len, char *digits) {
    uint32_t state[8];
    memcpy(state, START, sizeof state);
    size_t whole = len / 64 * 64, rest = len - whole;
    for (size_t at = 0; at < whole; at += 64) take(state, (const uint8_t *)text + at);

    // What is left, a bit, zeros, and the length in bits: one block or two.
    uint8_t last[128] = {0};
    memcpy(last, text + whole, rest);
    last[rest] = 0x80;
    size_t end = rest < 56 ? 64 : 128;
    uint64_t bits = (uint64_t)len * 8;
    for (int i = 1; i <= 8; i++, bits >>= 8) last[end - i] = (uint8_t)bits;
    for (size_t at = 0; at < end; at += 64) take(state, last + at);

    for (int i = 0; i < 64; i++) {
        digits[i] = "0123456789abcdef"[state[i / 8] >> (28 - i % 8 * 4) & 15];
    }
}

// The answer to the last call. The agent copies it before it calls again, so one buffer serves all
// records; it grows when a record needs it to.
static char *answer;
static size_t capacity;

// Called by the agent for every record, as JSON text that ends with a NUL; answers in kind. What is
// no object, or finds no memory, is handed back as it came.
__attribute__((export_name("c_sha256"))) const char *c_sha256(const char *tag, int tag_len,
                                                              uint32_t sec, uint32_t nsec,
                                                              const char *record, int len) {
    (void)tag, (void)tag_len, (void)sec, (void)nsec;
    static const char key[] = "\"sha256\":\"";
    const size_t added = 1 + sizeof key - 1 + 64 + sizeof "\"}";
    if (len < 2 || record[0] != '{' || record[len - 1] != '}') return record;
    if ((size_t)len + added > capacity) {
        size_t wanted = 2 * ((size_t)len + added);
        char *grown = realloc(answer, wanted);
        if (grown == NULL) return record;
        answer = grown;
        capacity = wanted;
    }
    char *to = answer + len - 1;
    memcpy(answer, record, len - 1);
    if (len > 2) *to++ = ',';
    memcpy(to, key, sizeof key - 1);
    digest(record, len, to + sizeof key - 1);
    memcpy(to + sizeof key - 1 + 64, "\"}", sizeof "\"}");
    return answer;
}
