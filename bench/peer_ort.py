# SPDX-License-Identifier: Apache-2.0
"""The peer: static quantization as ONNX Runtime offers it, one process per model.

  peer_ort.py MODEL SAMPLES.npy OUT

Pre-processing, min-max ranges, per-channel weights, QDQ with unsigned activations and signed weights; models below opset 13, where
per-channel quantization is not defined, are converted first.
"""
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Samples(CalibrationDataReader):
    def __init__(self, name, path):
        self.name, self.samples, self.next = name, np.load(path, mmap_mode="r"), 0

    def get_next(self):
        if self.next == len(self.samples):
            return None
        self.next += 1
        return {self.name: np.ascontiguousarray(self.samples[self.next - 1:self.next])}


def main(source, samples, out):
    raised, prepared = out + ".raised", out + ".prepared"
    model = onnx.load(source)
    standard = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    if standard < 13:
        onnx.save(onnx.version_converter.convert_version(model, 13), raised)
        source = raised
    del model
    quant_pre_process(source, prepared, skip_symbolic_shape=True)
    name = ort.InferenceSession(prepared, providers=["CPUExecutionProvider"]).get_inputs()[0].name
    quantize_static(prepared, out, Samples(name, samples), quant_format=QuantFormat.QDQ, per_channel=True,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    for path in (raised, prepared):
        if os.path.exists(path):
            os.remove(path)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
