# SPDX-License-Identifier: Apache-2.0
"""The networks that comparisons are made with, by name, below the folder of models."""
PATHS = {"resnet20": "resnet20_cifar/resnet20.onnx", "mobilenet_v2": "mobilenet_v2/mobilenet_v2_1.0_224.onnx",
         "mobilenet_v1_025": "mobilenet_v1_025/mobilenet_v1_0.25_224.onnx", "squeezenet11": "squeezenet11/squeezenet1.1.onnx",
         "vww": "vww_mobilenet/vww_96.onnx", "kwt1": "kwt1/kwt1.onnx", "ds_cnn_s": "ml_kws/ds_cnn_s.onnx", "gru_l": "ml_kws/gru_l.onnx",
         "basic_lstm_m": "ml_kws/basic_lstm_m.onnx", "crnn_m": "ml_kws/crnn_m.onnx", "yolox_nano": "yolox_nano/yolox_nano.onnx",
         "ultraface": "ultraface/version-RFB-320.onnx", "mobilenet_v2_qdq": "mobilenet_v2_qdq/mobilenetv2_qdq.onnx"}


def pick(*names):
    """Name: path, in the order given."""
    return {name: PATHS[name] for name in names}
