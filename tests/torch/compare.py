"""Exports weights, judges pictures with `flawgate infer` and with network.py, and compares level maps, map and score.

usage: compare.py FLAWGATE NAME.fgb IMAGE... [network.py's switches as --without scconv,simam,fmm --levels 1,2,3]

SRU's gate is a step: where a value lies within rounding of 0.5 the two programs may decide differently, and everything
behind differs a little. Such pictures are found by giving PyTorch the decisions of float64: when its own float32 ones
differ from them, that many decisions are uncertain. A picture whose maps are further apart than the bound must be
explained by at most 1 uncertain decision in 10,000 and is held to the wider bounds."""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy
import torch

from network import Network, anomaly_map, load, picture


def close(ours, theirs):
    return max(float(numpy.abs(a - b).max()) for a, b in zip(ours, theirs))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("flawgate")
    parser.add_argument("bundle")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--state", help="NAME.state: its float32 weights are exported instead and held to 1e-4")
    parser.add_argument("--backbone", default="resnet18")
    parser.add_argument("--without", default="")
    parser.add_argument("--levels", default="1,2,3")
    parser.add_argument("--soft", action="store_true")
    a = parser.parse_args()
    off = a.without.split(",")
    net = Network(a.backbone, [int(i) for i in a.levels.split(",")], "scconv" not in off, "simam" not in off,
                  "fmm" not in off, a.soft).eval()
    folder = Path(tempfile.mkdtemp())
    weights = folder / "weights.safetensors"
    subprocess.run([a.flawgate, "bundle", "export", a.state or a.bundle, weights], check=True)
    load(net, weights)
    scconv = net.bottleneck.scconv
    bound, worst, apart, failed = 1e-4 if a.state else 1e-3, 0.0, 0, 0
    for image in a.images:
        run = subprocess.run([a.flawgate, "infer", a.bundle, image, "--json", "--map", folder / "map.npy",
                              "--level-maps", folder / "level"], capture_output=True, text=True)
        answer = json.loads(run.stdout)
        ours = [numpy.load(folder / f"level{i}.npy") for i in net.levels]
        full = numpy.load(folder / "map.npy")
        x = picture(image, *full.shape)
        decisions = {}
        if scconv:
            hook = scconv.register_forward_pre_hook(lambda m, i: decisions.update(z=m.gate_logit(i[0])))
        with torch.inference_mode():
            maps = net.level_maps(x)
            score = float(anomaly_map(maps, *full.shape).max())
        theirs = [m[0].numpy() for m in maps]
        difference, off_score = close(ours, theirs), abs(score - answer["score"])
        line = f"{image}: maps {difference:.2e}, score {off_score:.2e}"
        good = difference <= bound and off_score <= bound
        if not good and scconv:
            z = decisions["z"]
            uncertain = int((z.abs() < 1e-6).sum())
            line += f", {uncertain} of {z.numel()} decisions within rounding of the switch"
            apart += 1
            good = 0 < uncertain <= max(1, z.numel() // 10000) and difference <= 5e-3 and off_score <= 1e-2
        else:
            worst = max(worst, difference)
        if scconv:
            hook.remove()
        failed += not good
        print(line if good else line + "  FAILED", flush=True)
    print(f"{len(a.images) - failed} of {len(a.images)} pictures agree; largest difference {worst:.2e} (bound {bound}) "
          f"where the decisions are the same; {apart} with decisions that may differ")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
