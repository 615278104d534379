/* SPDX-License-Identifier: Apache-2.0
 * An embedder in C++17: runs two models on samples of its own and prints how close they are. Exit 0 only when they are close and the
 * second one is really quantized. compare A.onnx B.onnx */
#include <qcc.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace {

struct Closer {
  void operator()(qcc_context *cx) const { qcc_close(cx); }
  void operator()(qcc_model *m) const { qcc_model_free(m); }
  void operator()(qcc_data *d) const { qcc_data_free(d); }
};
template <class T>
using Owned = std::unique_ptr<T, Closer>;

qcc_status fill(void *user, size_t index, qcc_array *inputs) {
  auto &x = *static_cast<std::vector<float> *>(user);
  for (size_t i = 0; i < x.size(); i++) x[i] = static_cast<float>((i * 31 + index * 17) % 200) / 100.0f - 1.0f;
  inputs[0] = qcc_array{1, 4, {1, 3, 16, 16}, x.data(), x.size() * sizeof(float)};
  return QCC_OK;
}

void row(void *user, const qcc_diff_row *r) {
  if (r->is_output) *static_cast<double *>(user) = r->sqnr_db;
}

Owned<qcc_model> load(qcc_context *cx, const char *path) {
  qcc_model *m = nullptr;
  if (qcc_load(&m, cx, path) != QCC_OK) std::fprintf(stderr, "%s\n", qcc_message(cx));
  return Owned<qcc_model>(m);
}

bool has_quantizer(const qcc_model *m) {
  for (size_t k = 0; k < qcc_node_count(m); k++) {
    qcc_node_info info{};
    if (qcc_node_at(m, k, &info) == QCC_OK && (std::string(info.op) == "QuantizeLinear" || std::string(info.op) == "Cast")) return true;
  }
  return false;
}

} // namespace

int main(int argc, char **argv) {
  qcc_context *raw = nullptr;
  if (argc != 3 || qcc_open(&raw, nullptr) != QCC_OK) return 2;
  Owned<qcc_context> cx(raw);
  Owned<qcc_model> a = load(raw, argv[1]), b = load(raw, argv[2]);
  if (!a || !b) return 1;
  std::vector<float> x(3 * 16 * 16);
  qcc_data *pulled = nullptr;
  if (qcc_data_pull(&pulled, a.get(), 4, fill, &x) != QCC_OK) return 1;
  Owned<qcc_data> data(pulled);
  double sqnr = 0;
  if (qcc_diff(a.get(), b.get(), data.get(), 1, row, &sqnr) != QCC_OK) std::fprintf(stderr, "%s\n", qcc_message(raw));
  std::printf("qcc %s: SQNR %.1f dB\n", qcc_version(), sqnr);
  return sqnr > 30 && !has_quantizer(a.get()) && has_quantizer(b.get()) ? 0 : 1;
}
