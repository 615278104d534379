# SPDX-License-Identifier: Apache-2.0
"""Compare frontends/onnx/onnx.proto with the schema files of other packages: every message, field number, label, type, packedness,
oneof, and every enumeration value of theirs that exists at our versions must be ours too; and the numbers in proto.h with ours.
usage: schema.py    exit 1 on a difference, 77 when protoc or every other schema is missing
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

try:
    from google.protobuf import descriptor_pb2
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

OURS = "frontends/onnx/onnx.proto"


def descriptors(folder, name):
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, "set")
        subprocess.run(["protoc", "-I", folder, f"--descriptor_set_out={out}", name], check=True)
        files = descriptor_pb2.FileDescriptorSet()
        with open(out, "rb") as f:
            files.ParseFromString(f.read())
    return files.file[0]


def flatten(file):
    """message -> field name -> facts; enumeration -> name -> number; package names cut off."""
    messages, enums = {}, {}
    prefix = "." + file.package + "."

    def plain(name):
        return name[len(prefix):] if name.startswith(prefix) else name

    def walk(message, path):
        name = path + message.name
        facts = {}
        for f in message.field:
            oneof = message.oneof_decl[f.oneof_index].name if f.HasField("oneof_index") else None
            facts[f.name] = (f.number, f.label, f.type, plain(f.type_name), f.options.packed, oneof)
        messages[name] = facts
        for e in message.enum_type:
            enums[name + "." + e.name] = {v.name: v.number for v in e.value}
        for inner in message.nested_type:
            walk(inner, name + ".")

    for message in file.message_type:
        walk(message, "")
    return messages, enums


def compare(ours, theirs, label):
    bad = 0
    for kind, (mine, other) in (("message", (ours[0], theirs[0])), ("enumeration", (ours[1], theirs[1]))):
        for name, members in other.items():
            for member, facts in members.items():
                if mine.get(name, {}).get(member) == facts:
                    continue
                print(f"{label}: {kind} {name}.{member}: theirs {facts}, ours {mine.get(name, {}).get(member)}")
                bad += 1
    fields = sum(len(m) for m in theirs[0].values())
    print(f"{label}: {len(theirs[0])} messages, {fields} fields, {sum(len(e) for e in theirs[1].values())} enumeration values compared")
    return bad


HEADER_MESSAGES = {"MODEL": "ModelProto", "OPSET": "OperatorSetIdProto", "ENTRY": "StringStringEntryProto", "GRAPH": "GraphProto", "NODE": "NodeProto",
                   "ATTR": "AttributeProto", "TENSOR": "TensorProto", "VALUE": "ValueInfoProto", "TYPE": "TypeProto", "SHAPE": "TensorShapeProto",
                   "DIM": "TensorShapeProto.Dimension"}
HEADER_FIELDS = {"TYPE_TENSOR": "tensor_type", "DIM_VALUE": "dim_value", "DIM_PARAM": "dim_param", "TENSOR_TYPE_ELEM": "elem_type", "TENSOR_TYPE_SHAPE": "shape"}


def check_header(ours):
    """The field numbers that the hand-written code uses."""
    with open("frontends/onnx/proto.h", encoding="utf-8") as f:
        pairs = re.findall(r"QCC_PB_([A-Z]+)_([A-Z_]+) = (\d+)", f.read())
    bad = 0
    for message, field, number in pairs:
        name = "TypeProto.Tensor" if (message, field) in {("TENSOR", "TYPE_ELEM"), ("TENSOR", "TYPE_SHAPE")} else HEADER_MESSAGES[message]
        member = HEADER_FIELDS.get(f"{message}_{field}", field.lower())
        facts = ours[0][name].get(member)
        if not facts or facts[0] != int(number):
            print(f"proto.h: QCC_PB_{message}_{field} is {number}, the schema says {facts}")
            bad += 1
    print(f"proto.h: {len(pairs)} field numbers compared")
    return bad + (len(pairs) < 40)


def others():
    found = [("Debian libonnx-dev", "/usr/include/onnx", "onnx.proto")]
    try:
        import onnx
        found.append(("PyPI onnx " + onnx.__version__, os.path.dirname(onnx.__file__), "onnx-ml.proto"))
    except ImportError:
        pass
    return [x for x in found if os.path.exists(os.path.join(x[1], x[2]))]


def main():
    if not shutil.which("protoc") or not others():
        print("skipped: no protoc or no other schema")
        return 77
    ours = flatten(descriptors(".", OURS))
    bad = check_header(ours)
    for label, folder, name in others():
        bad += compare(ours, flatten(descriptors(folder, name)), label)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
