"""Frames that show no good part, made of a good part's picture: none may pass.

usage: nonsense.py FLAWGATE NAME.fgb GOOD-PICTURE [OTHER-PICTURE...]

The other pictures show other parts; each is made as large as the good one and takes its colours. Prints a line for each
frame; exit status 1 when one of them passes."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image, ImageFilter


def frames(good, others):
    """Names and frames, as the good picture's size and mode."""
    values = numpy.asarray(good).astype(float)
    height, width = values.shape[:2]
    random = numpy.random.default_rng(1)
    column = numpy.linspace(0, 255, width)[None, :, None] * numpy.ones((height, 1, values[0, 0].size))
    half = values.copy()
    half[:, : width // 2] = 0
    made = {
        "black": values * 0,
        "white": values * 0 + 255,
        "grey": values * 0 + 128,
        "one colour": values * 0 + values.mean((0, 1)),
        "empty station": values * 0 + numpy.median(values[: height // 16], (0, 1)) + random.normal(0, 3, values.shape),
        "noise": random.uniform(0, 255, values.shape),
        "gradient": column.reshape(values.shape),
        "half black": half,
        "30 % light": values * 0.3,
        "over-exposed": values * 510 / max(numpy.median(values), 1),
        "defocus": numpy.asarray(good.filter(ImageFilter.GaussianBlur(width / 16))).astype(float),
        "half out": numpy.concatenate([values[:, width // 2 :], numpy.repeat(values[:, -1:], width // 2, 1)], 1)[:, :width],
    }
    for name, frame in made.items():
        yield name, Image.fromarray(frame.clip(0, 255).round().astype(numpy.uint8))
    for path in others:
        yield str(path), Image.open(path).convert(good.mode).resize(good.size)


def main():
    flawgate, bundle, good, *others = sys.argv[1:]
    picture, passed = Image.open(good), 0
    with tempfile.TemporaryDirectory() as folder:
        for name, frame in frames(picture if picture.mode == "L" else picture.convert("RGB"), others):
            file = Path(folder) / "frame.png"
            frame.save(file)
            run = subprocess.run([flawgate, "infer", bundle, file, "--json"], capture_output=True, text=True)
            if run.returncode not in (0, 1):
                raise SystemExit(run.stderr)
            said = json.loads(run.stdout)
            passed += said["verdict"] == "PASS"
            print(f"{name}: {said['verdict']}, score {said['score']} of {said['threshold']}, "
                  f"scene {said['scene']} of {said['scene_limit']}", flush=True)
    print(f"{passed} of them pass")
    raise SystemExit(passed > 0)


if __name__ == "__main__":
    main()
