"""Judges pictures with `flawgate infer` and with network.py on the exported weights, and compares level maps, map and score.

usage: compare.py FLAWGATE NAME.fgb IMAGE... [--state NAME.state] [--without scconv,simam,fmm] [--levels 1,2,3] ...

PyTorch computes in float64. Two programs may still take a decision of SRU's gate differently where the group norm is
within rounding of 0, and everything behind it then differs a little. So a picture that is apart by more than the bound is
computed again with each of the decisions nearest to 0 flipped; the one that brings the maps closest is kept, and so on:
those are the decisions that differ. They must explain the whole difference, be at most 1 in 10,000, and have moved the maps and
the score by no more than the wider bounds.

With --state both take the float32 weights of training: the program in a bundle that holds them unrounded, PyTorch with
batch norm not folded. The bound is then 1e-4."""
import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import numpy
import torch

from bundle import places, with_state
from network import add_switches, anomaly_map, load, picture, switched

WIDE_MAPS, WIDE_SCORE = 5e-3, 1e-2


class Form:
    """How the bundle makes a score of level maps (section 6)."""

    def __init__(self, flawgate, bundle):
        shown = subprocess.run([flawgate, "bundle", "show", bundle, "--json"], capture_output=True, text=True, check=True)
        self.product = json.loads(shown.stdout)["network"]["score"].startswith("product")
        self.mean, self.scale = (p.astype(float) for p in places(bundle) or (numpy.zeros(1), numpy.ones(1)))

    def map(self, level_maps, height, width):
        return anomaly_map(level_maps, height, width, product=self.product)[0].numpy()

    def score(self, full):
        return float(((full - self.mean) / self.scale).max())

    def apart(self, score, other):
        """How far two scores are apart, in the map's own unit."""
        return abs(score - other) * float(self.scale.max())


@torch.inference_mode()
def judge(network, form, x, flipped=()):
    """Level maps, map and score, with these decisions of the gate flipped; the distance of each decision from its switch."""
    distances = torch.zeros(0)

    def decide(module, given, norm):
        nonlocal distances
        distances, norm = norm.abs().flatten(), norm.clone()
        for i in flipped:
            norm.view(-1)[i] = -1e-9 if norm.view(-1)[i] > 0 else 1e-9
        return norm

    scconv = network.bottleneck.scconv
    hook = scconv.gn.register_forward_hook(decide) if scconv else None
    maps = network.level_maps(x)
    if hook:
        hook.remove()
    full = form.map(maps, *x.shape[2:])
    return [m[0].numpy() for m in maps] + [full], form.score(full), distances


def apart(maps, others):
    return max(float(numpy.abs(a - b).max()) for a, b in zip(maps, others))


def compare(network, form, x, maps, score, bound):
    """The largest differences of maps and score, how many decisions differ, and whether all that is within the bounds."""
    theirs, their_score, distances = judge(network, form, x)
    first, first_score = apart(maps, theirs), form.apart(score, their_score)
    if first <= bound and first_score <= bound:
        return first, first_score, 0, True
    allowed, flipped, rest = max(1, len(distances) // 10000), [], first
    nearest = distances.argsort()[: 4 * allowed].tolist()
    while rest > bound and len(flipped) < allowed:
        closer, i = min((apart(maps, judge(network, form, x, flipped + [i])[0]), i) for i in nearest if i not in flipped)
        if closer >= rest:
            break
        flipped, rest = flipped + [i], closer
    explained = bool(flipped) and rest <= bound and first <= WIDE_MAPS and first_score <= WIDE_SCORE
    return first, first_score, len(flipped), explained


def run_flawgate(flawgate, bundle, image, levels, folder):
    """Level maps and map, and the score, as the program writes them."""
    run = subprocess.run([flawgate, "infer", bundle, image, "--json", "--map", folder / "map.npy",
                          "--level-maps", folder / "level"], capture_output=True, text=True)
    if run.returncode not in (0, 1):
        raise SystemExit(run.stderr)
    files = [folder / f"level{i}.npy" for i in levels] + [folder / "map.npy"]
    return [numpy.load(f) for f in files], json.loads(run.stdout)["score"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("flawgate")
    parser.add_argument("bundle")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--state")
    add_switches(parser)
    options = parser.parse_args()
    network = switched(options).eval()
    bound, worst, failed, differ = 1e-4 if options.state else 1e-3, 0.0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        weights = folder / "weights.safetensors"
        subprocess.run([options.flawgate, "bundle", "export", options.state or options.bundle, weights], check=True)
        load(network, weights)
        network.double()
        bundle = options.bundle
        if options.state:
            bundle = folder / "float32.fgb"
            with_state(options.bundle, weights, bundle)
        form = Form(options.flawgate, bundle)
        for image in options.images:
            maps, score = run_flawgate(options.flawgate, bundle, image, network.levels, folder)
            x = picture(image, *maps[-1].shape).double()
            off_maps, off_score, decisions, good = compare(network, form, x, maps, score, bound)
            print(f"{image}: maps {off_maps:.2e}, score {off_score:.2e}"
                  f"{f', {decisions} decisions differ' if decisions else ''}{'' if good else '  FAILED'}", flush=True)
            failed, differ = failed + (not good), differ + (decisions > 0)
            worst = max(worst, 0 if decisions else off_maps)
    print(f"{len(options.images) - failed} of {len(options.images)} pictures agree; largest difference {worst:.2e} (bound "
          f"{bound:g}) with the same decisions; {differ} pictures with decisions that differ")
    raise SystemExit(failed > 0)


if __name__ == "__main__":
    main()
