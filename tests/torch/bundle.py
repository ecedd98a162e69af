"""Puts a state's weights into a bundle as they are, in float32: what the engine gives with them is compared without the
rounding of the bundle's float16. The format is that of runtime/bundle/format.h."""
import hashlib
import re
import struct
import zlib

import numpy
from safetensors.numpy import load_file

HEAD, ENTRY, BLOCK, FLOAT32 = 128, 132, 8192, 1
EVIDENCE = ("self_test.", "good.", "scene.", "place.")  # what a bundle has besides weights
NORM_OF = ((r"conv(\d)$", r"bn\1"), (r"downsample\.0$", "downsample.1"), (r"down(1a|1b|2)$", r"bn\1"), (r"fuse$", "bnf"),
           (r"point$", "bnp"))


def norm_of(convolution):
    """The batch norm behind a convolution, by their names."""
    for pattern, norm in NORM_OF:
        name, found = re.subn(pattern, norm, convolution)
        if found:
            return name
    return None


def folded(state):
    """Every batch norm in the convolution before it; what is left of it is its bias."""
    state = {name: value.astype(numpy.float64) for name, value in state.items()}
    out = dict(state)
    for name, value in state.items():
        norm = norm_of(name.removesuffix(".weight"))
        if norm is None or f"{norm}.running_var" not in state:
            continue
        scale = state[f"{norm}.weight"] / numpy.sqrt(state[f"{norm}.running_var"] + 1e-5)
        outputs = (1, -1, 1, 1) if value.shape[2:] == (2, 2) else (-1, 1, 1, 1)  # a transposed one's are second
        out[name] = value * scale.reshape(outputs)
        out[f"{norm}.bias"] = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
    return out


def stream(values):
    """Deflated blocks, in each of which all first bytes come first, then all second ones, and so on."""
    blocks = (values[i : i + BLOCK].view(numpy.uint8).reshape(-1, 4).T.tobytes() for i in range(0, len(values), BLOCK))
    return zlib.compress(b"".join(blocks), 1)


def places(bundle):
    """Mean and scale of each place of the map, float16 as stored, {height, width}; None where the score is not local."""
    data = open(bundle, "rb").read()
    fields, entries = struct.unpack_from("<II", data, 16)
    found = {}
    for i in range(entries):
        entry = data[HEAD + fields + i * ENTRY :][:ENTRY]
        name = entry[:64].rstrip(b"\0").decode()
        if name.startswith("place."):
            (_, height, width, _), (at, size) = struct.unpack_from("<4I", entry, 64), struct.unpack_from("<QQ", entry, 84)
            raw = numpy.frombuffer(zlib.decompress(data[at : at + size]), numpy.uint8)
            blocks = (raw[k : k + 2 * BLOCK].reshape(2, -1).T.tobytes() for k in range(0, len(raw), 2 * BLOCK))
            found[name] = numpy.frombuffer(b"".join(blocks), "<f2").reshape(height, width)
    return (found["place.mean"], found["place.scale"]) if found else None


def with_state(bundle, state, out):
    """Writes the bundle with the weights of an exported state (safetensors)."""
    weights = folded(load_file(state))
    old = open(bundle, "rb").read()
    fields, entries = struct.unpack_from("<II", old, 16)
    table, streams, offset = bytearray(), [], HEAD + fields + entries * ENTRY
    for i in range(entries):
        entry = bytearray(old[HEAD + fields + i * ENTRY :][:ENTRY])
        name = entry[:64].rstrip(b"\0").decode()
        at, size = struct.unpack_from("<QQ", entry, 84)
        data = old[at : at + size]
        if name in weights:
            value = weights[name].astype("<f4")
            value = value.transpose(0, 2, 3, 1) if value.ndim == 4 else value
            if value.size != numpy.prod(struct.unpack_from("<4I", entry, 64)):
                raise SystemExit(f"{name}: the state's shape is not the bundle's")
            data = stream(numpy.ascontiguousarray(value).ravel())
            struct.pack_into("<I", entry, 80, FLOAT32)
        elif not name.startswith(EVIDENCE):
            raise SystemExit(f"{name}: not in the state")
        struct.pack_into("<QQ", entry, 84, offset, len(data))
        entry[100:] = hashlib.blake2b(data, digest_size=32).digest()
        offset += len(data)
        table += entry
        streams.append(data)
    head = old[:8] + struct.pack("<Q", offset) + old[16:96]
    body = old[HEAD : HEAD + fields] + table
    head += hashlib.blake2b(head + body, digest_size=32).digest()
    with open(out, "wb") as file:
        file.write(head + body + b"".join(streams))
