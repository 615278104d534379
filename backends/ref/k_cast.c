/* SPDX-License-Identifier: Apache-2.0
 * Cast and CastLike: the conversion itself is qcc_tensor_cast; common pairs have loops here. */
#include "backends/ref/kutil.h"

static qcc_status cast_to(qcc_kargs *k, qcc_dtype to) {
  const qcc_tensor *x = k->in[0];
  qcc_type t = qcc_kx_like(&x->type, to);
  qcc_tensor y = {0};
  int64_t n = qcc_tensor_count(x);
  void *out;
  if (to == QCC_STRING || x->type.dtype == QCC_STRING || qcc_dtype_bits(to) == 0) return qcc_kx_no_type(k, QCC_STRING);
  if (qcc_dtype_kind(to) == QCC_KIND_COMPLEX || qcc_dtype_kind(x->type.dtype) == QCC_KIND_COMPLEX) return qcc_kx_no_type(k, to);
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out) return QCC_OK;
  if (to == x->type.dtype) {
    memmove(out, x->data, x->bytes);
  } else if (to == QCC_F32) {
    qcc_tensor_read_f32(x, out);
  } else if (to == QCC_S64 && x->type.dtype == QCC_S32) {
    for (int64_t i = 0; i < n; ++i) ((int64_t *)out)[i] = ((const int32_t *)x->data)[i];
  } else if (to == QCC_S32 && x->type.dtype == QCC_S64) {
    for (int64_t i = 0; i < n; ++i) ((int32_t *)out)[i] = (int32_t)((const int64_t *)x->data)[i];
  } else {
    QCC_TRY(qcc_tensor_cast(&y, k->cx, x, to));
    memcpy(out, y.data, k->out[0].bytes);
    qcc_tensor_release(&y);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_cast(qcc_kargs *k) {
  int64_t to = qcc_attr_int(k->node, "to", 0);
  if (to <= 0 || to >= QCC_DTYPE_COUNT) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-760", "the target type %lld is unknown", (long long)to);
  return cast_to(k, (qcc_dtype)to);
}

qcc_status qcc_kernel_cast_like(qcc_kargs *k) { return cast_to(k, k->in[1]->type.dtype); }
