/* SPDX-License-Identifier: Apache-2.0
 * Insertions, deletions, exchanges and swaps of neighbours between two short words; letters count without their case. */
#include "ir/support/nearest.h"

#include <string.h>

enum { LETTERS = 40 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static size_t distance(const char *a, size_t n, const char *b, size_t m) {
  size_t row[3][LETTERS + 1]; /* of i, of i - 1, of i - 2 */
  for (size_t j = 0; j <= m; j++) row[0][j] = j;
  for (size_t i = 1; i <= n; i++) {
    size_t *before = row[(i + 1) % 3], *up = row[(i + 2) % 3], *here = row[i % 3];
    here[0] = i;
    for (size_t j = 1; j <= m; j++) {
      bool same = lower(a[i - 1]) == lower(b[j - 1]);
      here[j] = least(least(up[j], here[j - 1]) + 1, up[j - 1] + !same);
      bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) here[j] = least(here[j], before[j - 2] + 1);
    }
  }
  return row[n % 3][m];
}

qcc_nearest qcc_nearest_to(const char *word, size_t n) { return (qcc_nearest){.word = word, .n = least(n, LETTERS), .distance = SIZE_MAX}; }

void qcc_nearest_offer(qcc_nearest *s, const char *known) {
  size_t away = distance(s->word, s->n, known, least(strlen(known), LETTERS));
  if (s->best && away >= s->distance) return;
  s->best = known;
  s->distance = away;
}

const char *qcc_nearest_slip(const qcc_nearest *s) { return s->best && s->distance <= 1 + s->n / 3 ? s->best : NULL; }
