/* SPDX-License-Identifier: Apache-2.0
 * TypeProto and ValueInfoProto -> qcc_type.
 * Invariant: what the IR type cannot say (sequences, maps, denotations, rank over 8) survives as wire bytes of the ValueInfoProto. */
#include "frontends/onnx/pb.h"

typedef Qcc__Onnx__TensorShapeProto pb_shape;
typedef Qcc__Onnx__TensorShapeProto__Dimension pb_dim;

static qcc_status import_dim(qcc_import *im, const pb_dim *d, int64_t *out, bool *plain) {
  *out = QCC_DIM_UNKNOWN;
  if (d->denotation || d->base.n_unknown_fields) *plain = false;
  if (d->value_case == QCC__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && d->dim_value >= 0) *out = d->dim_value;
  if (d->value_case == QCC__ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && qcc_pb_given(d->dim_param)) {
    *out = qcc_symbol(im->cx, d->dim_param);
    if (*out == QCC_DIM_UNKNOWN) return QCC_NOMEM;
  }
  return QCC_OK;
}

static qcc_status import_shape(qcc_import *im, const pb_shape *s, qcc_type *out, bool *plain) {
  if (s->base.n_unknown_fields) *plain = false;
  if (s->n_dim > QCC_MAX_RANK) {
    *plain = false;
    return QCC_OK;
  }
  out->rank = (int8_t)s->n_dim;
  for (size_t k = 0; k < s->n_dim; k++) QCC_TRY(import_dim(im, s->dim[k], &out->dim[k], plain));
  return QCC_OK;
}

qcc_status qcc_import_type(qcc_import *im, const pb_type *p, const qcc_loc *where, qcc_type *out, bool *plain) {
  *out = qcc_type_unknown();
  *plain = true;
  if (!p) return QCC_OK;
  if (p->denotation || p->base.n_unknown_fields) *plain = false;
  if (p->value_case != QCC__ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !p->tensor_type) {
    *plain = false;
    return QCC_OK;
  }
  int32_t code = p->tensor_type->elem_type;
  if (code < 0) return qcc_error(im->cx, QCC_INVALID, "M-310", where, "element type %d; allowed: 1..%d", code, QCC_DTYPE_COUNT - 1);
  if (code >= QCC_DTYPE_COUNT || p->tensor_type->base.n_unknown_fields) *plain = false;
  if (code < QCC_DTYPE_COUNT) out->dtype = (qcc_dtype)code;
  return p->tensor_type->shape ? import_shape(im, p->tensor_type->shape, out, plain) : QCC_OK;
}

/* The fields beside the name; the type too when the IR does not say all of it. */
static qcc_status keep_rest(qcc_import *im, const pb_value *p, bool plain, qcc_extra *out) {
  pb_value rest = *p;
  rest.name = NULL;
  if (plain) rest.type = NULL;
  return qcc_pb_keep(im, &rest.base, out);
}

qcc_status qcc_import_value_info(qcc_import *im, qcc_value *v, const pb_value *p) {
  qcc_type type;
  bool plain;
  qcc_loc where = {.file = im->file->name, .tensor = v->name};
  QCC_TRY(qcc_import_type(im, p->type, &where, &type, &plain));
  QCC_TRY(keep_rest(im, p, plain, &v->extra));
  v->typed_by_file = p->type != NULL;
  if (!v->data) qcc_set_type(v, &type);
  return QCC_OK;
}
