/* SPDX-License-Identifier: Apache-2.0
 * An embedder in C: builds a network node by node, saves it and its samples. Compiled against an installed qcc as C99.
 * build_model MODEL.onnx SAMPLES.npy */
#include <qcc.h>
#include <stdio.h>

static void say(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity == QCC_ERROR) fprintf(stderr, "%s\n", line);
}

static float noise(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return (float)(*state >> 8) / 8388608.0f - 1.0f;
}

static qcc_status build(qcc_model *m) {
  static float weights[8 * 3 * 3 * 3];
  unsigned state = 1;
  for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) weights[i] = noise(&state);
  const qcc_array x = {.dtype = 1, .rank = 4, .dim = {1, 3, 16, 16}};
  const qcc_array w = {.dtype = 1, .rank = 4, .dim = {8, 3, 3, 3}, .data = weights, .bytes = sizeof weights};
  const int64_t pads[] = {1, 1, 1, 1};
  const char *conv_in[] = {"x", "w"}, *conv_out[] = {"c"}, *relu_out[] = {"y"};
  qcc_status st = qcc_build_input(m, "x", &x);
  if (st == QCC_OK) st = qcc_build_const(m, "w", &w);
  if (st == QCC_OK) st = qcc_build_node(m, "", "Conv", "conv", conv_in, 2, conv_out, 1);
  if (st == QCC_OK) st = qcc_build_ints(m, "pads", pads, 4);
  if (st == QCC_OK) st = qcc_build_node(m, "", "Relu", "relu", conv_out, 1, relu_out, 1);
  if (st == QCC_OK) st = qcc_build_output(m, "y");
  return st == QCC_OK ? qcc_build_check(m) : st;
}

int main(int argc, char **argv) {
  static float samples[12 * 3 * 16 * 16];
  unsigned state = 2;
  if (argc != 3) return QCC_ARG;
  for (size_t i = 0; i < sizeof samples / sizeof *samples; i++) samples[i] = noise(&state);
  const qcc_array all = {.dtype = 1, .rank = 4, .dim = {12, 3, 16, 16}, .data = samples, .bytes = sizeof samples};
  qcc_host host = {.log = say};
  qcc_context *cx = NULL;
  qcc_model *m = NULL;
  qcc_status st = qcc_open(&cx, &host);
  if (st == QCC_OK) st = qcc_build_new(&m, cx, 13);
  if (st == QCC_OK) st = build(m);
  if (st == QCC_OK) st = qcc_save(m, argv[1]);
  if (st == QCC_OK) st = qcc_array_write(cx, &all, argv[2]);
  qcc_model_free(m);
  qcc_close(cx);
  return (int)st;
}
