/* SPDX-License-Identifier: Apache-2.0
 * SHA-1 as FIPS 180-4 describes it: the checksum of external data files. */
#include <string.h>

#include "frontends/onnx/proto.h"

static uint32_t rotate(uint32_t x, unsigned by) { return x << by | x >> (32 - by); }

static uint32_t mix(unsigned round, uint32_t b, uint32_t c, uint32_t d) {
  if (round == 0) return ((b & c) | (~b & d)) + 0x5a827999u;
  if (round == 1) return (b ^ c ^ d) + 0x6ed9eba1u;
  if (round == 2) return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdcu;
  return (b ^ c ^ d) + 0xca62c1d6u;
}

static void digest_block(qcc_sha1 *s, const uint8_t *at) {
  uint32_t w[80], v[5];
  for (unsigned k = 0; k < 16; k++)
    w[k] = (uint32_t)at[4 * k] << 24 | (uint32_t)at[4 * k + 1] << 16 | (uint32_t)at[4 * k + 2] << 8 | at[4 * k + 3];
  for (unsigned k = 16; k < 80; k++) w[k] = rotate(w[k - 3] ^ w[k - 8] ^ w[k - 14] ^ w[k - 16], 1);
  memcpy(v, s->h, sizeof v);
  for (unsigned k = 0; k < 80; k++) {
    uint32_t next = rotate(v[0], 5) + mix(k / 20, v[1], v[2], v[3]) + v[4] + w[k];
    v[4] = v[3];
    v[3] = v[2];
    v[2] = rotate(v[1], 30);
    v[1] = v[0];
    v[0] = next;
  }
  for (unsigned k = 0; k < 5; k++) s->h[k] += v[k];
}

void qcc_sha1_init(qcc_sha1 *s) {
  static const uint32_t start[5] = {0x67452301u, 0xefcdab89u, 0x98badcfeu, 0x10325476u, 0xc3d2e1f0u};
  memset(s, 0, sizeof *s);
  memcpy(s->h, start, sizeof start);
}

void qcc_sha1_add(qcc_sha1 *s, const void *bytes, size_t n) {
  const uint8_t *at = bytes;
  while (n > 0) {
    size_t held = (size_t)(s->n % 64), take = 64 - held < n ? 64 - held : n;
    if (take == 64) {
      digest_block(s, at);
    } else {
      memcpy(s->block + held, at, take);
      if (held + take == 64) digest_block(s, s->block);
    }
    s->n += take;
    at += take;
    n -= take;
  }
}

void qcc_sha1_done(qcc_sha1 *s, uint8_t digest[20]) {
  static const uint8_t pad[64] = {0x80};
  uint64_t bits = s->n * 8;
  uint8_t tail[8];
  for (unsigned k = 0; k < 8; k++) tail[k] = (uint8_t)(bits >> (56 - 8 * k));
  qcc_sha1_add(s, pad, 1 + (size_t)((119 - s->n % 64) % 64));
  qcc_sha1_add(s, tail, sizeof tail);
  for (unsigned k = 0; k < 20; k++) digest[k] = (uint8_t)(s->h[k / 4] >> (24 - 8 * (k % 4)));
}
