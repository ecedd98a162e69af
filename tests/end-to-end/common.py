"""What the end-to-end tests share: the built programs, small pictures made here, and running things."""
import json
import os
import socket
import struct
import subprocess
import unittest
import zlib
from pathlib import Path

BUILD = Path(os.environ.get("FG_BUILD", "build/cpu")).resolve()
SHARED = Path("../shared").resolve()


def png(path, height, width, pixel):
    """Writes an RGB PNG; pixel(y, x) gives three bytes."""
    rows = b"".join(b"\0" + b"".join(bytes(pixel(y, x)) for x in range(width)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    Path(path).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
    )


def good_part(path, i, side=64):
    """Stripes whose phase and tone depend on i: parts that differ a little."""
    png(path, side, side, lambda y, x: ((170 if (x + i) // 4 % 2 else 70) + y % 16, 120 + (i * 7) % 30, 90 + x % 8))


def bad_part(path, i, side=64):
    """The same with a patch of stripes that run the other way, which no good part has."""
    def pixel(y, x):
        if 16 + i % 8 <= y < 46 + i % 8 and 12 + i % 8 <= x < 42 + i % 8:
            return (255, 255, 255) if y // 3 % 2 else (0, 0, 0)
        return (170 if (x + i) // 4 % 2 else 70) + y % 16, 120 + (i * 7) % 30, 90 + x % 8

    png(path, side, side, pixel)


def run(program, *arguments, **options):
    """Runs a built program to its end; the result has returncode, stdout, stderr as text."""
    return subprocess.run([str(BUILD / program), *map(str, arguments)], capture_output=True, text=True,
                          timeout=900, **options)


def quick_bundle(folder):
    """Makes folder/good with 8 good parts, and folder/a.fgb from them: quick to train, and a bad judge."""
    good = folder / "good"
    good.mkdir()
    for i in range(8):
        good_part(good / f"{i:03}.png", i)
    done = run("flawgate-train", good, "--out", folder / "a.fgb", "--teacher", "random", "--backbone", "resnet18",
               "--size", "64", "--batch", "8", "--epochs", "1", "--recipe", "paper", "--quiet")
    assert done.returncode == 0, done.stderr


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lines(text):
    """The JSON objects that a program printed, one a line."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def main():
    unittest.main(verbosity=2)
