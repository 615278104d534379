# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime's side of goals.py: a session that stays open and runs on command, in the protocol of turns.h.

  peer_session.py MODEL MODE THREADS INPUTS.npz WORK

MODE: all (default optimizations), off (none), range (none, and the smallest and largest element of every float tensor as outputs, as its
min-max calibration does), histogram (none, every float tensor as an output, and numpy.histogram of each, 2048 bins).
"""
import os
import sys
import time

import numpy as np
import onnxruntime as ort


def augmented(model, mode, work):
    """The model that ONNX Runtime's own calibrator makes."""
    import onnx
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator
    typed, out = (os.path.join(work, f"{os.getpid()}.{part}.onnx") for part in ("typed", "augmented"))
    onnx.save(onnx.shape_inference.infer_shapes(onnx.load(model)), typed)
    method = CalibrationMethod.MinMax if mode == "range" else CalibrationMethod.Percentile
    create_calibrator(typed, augmented_model_path=out, calibrate_method=method)  # writes the model
    os.remove(typed)
    return out


def main(model, mode, threads, inputs, work):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads, options.inter_op_num_threads = int(threads), 1
    if mode != "all":
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if mode in ("range", "histogram"):
        model = augmented(model, mode, work)
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    if mode in ("range", "histogram"):
        os.remove(model)
    with np.load(inputs) as file:
        feed = {name: file[name] for name in file.files}
    print("ready", flush=True)
    for line in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(int(line)):
            outputs = session.run(None, feed)
            if mode == "histogram":
                for y in outputs:
                    if y.dtype == np.float32:
                        np.histogram(y, 2048)
        print(f"{time.perf_counter() - wall:.9f} {time.process_time() - processor:.9f}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
