"""Trains network.py by the recipe of section 7 and judges the test set: what the program's quality and speed are held to.

usage: train.py DIR --teacher FILE [--size 256|HxW] [--epochs N] [--seed N] [--without fmm] ... [--export FILE]"""
import argparse
import json
import math
import time
from pathlib import Path

import numpy
import torch
from PIL import Image

from metrics import all_metrics
from network import add_switches, anomaly_map, load_teacher, picture, recipe_adam, save, switched


def read(paths, size):
    return torch.cat([picture(p, *size) for p in paths]).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def held_out_loss(network, pictures, kind):
    """Without masks, batch norm in inference mode."""
    network.eval()
    return sum(float(network.loss(x, kind=kind)) * len(x) for x in pictures.split(16)) / len(pictures)


def fit(network, pictures, held_out, options):
    """Leaves the best epoch's weights in the network."""
    batches = lambda: [b for b in torch.randperm(len(pictures)).split(options.batch) if len(b) > 1]
    adam = recipe_adam(network, options.lr, options.l2)
    epochs = options.epochs or max(200, math.ceil(1500 / len(batches())))
    best, marked, since, steps, best_weights = math.inf, math.inf, 0, 0, {}
    for epoch in range(1, epochs + 1):
        network.train()
        start, trained = time.perf_counter(), 0
        for batch in batches():
            x = pictures[batch].contiguous(memory_format=torch.channels_last)
            adam.zero_grad()
            network.loss(x, options.mask_rate, options.loss).backward()
            adam.step()
            steps, trained = steps + 1, trained + len(x)
        seconds = time.perf_counter() - start
        loss = held_out_loss(network, held_out, options.loss)
        print(f"epoch {epoch} of {epochs}: held-out loss {loss:.5f}, {trained / seconds:.2f} pictures a second", flush=True)
        if loss < best:
            best, best_weights = loss, {k: v.clone() for k, v in network.state_dict().items()}
        marked, since = (loss, 0) if loss < marked * 0.999 else (marked, since + 1)
        if since >= options.patience and steps >= 1000:
            break
    network.load_state_dict(best_weights)


def read_mask(folder, path, size):
    """Section 8: resized by nearest neighbour; what is above 127 is the defect."""
    kind = path.parent.name
    if kind == "good":
        return numpy.zeros(size, bool)
    image = Image.open(folder / "ground_truth" / kind / f"{path.stem}_mask.png").convert("L")
    return numpy.asarray(image.resize(size[::-1], Image.Resampling.NEAREST)) > 127


@torch.inference_mode()
def evaluate(network, folder, size):
    network.eval()
    paths = sorted((folder / "test").glob("*/*"))
    maps = numpy.concatenate([anomaly_map(network.level_maps(read([p], size)), *size).numpy() for p in paths])
    masks = numpy.stack([read_mask(folder, p, size) for p in paths])
    return all_metrics(maps, masks, numpy.array([p.parent.name != "good" for p in paths]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--teacher", required=True)
    parser.add_argument("--size", default="256")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--patience", type=int, default=20)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--l2", type=float, default=1e-5)
    parser.add_argument("--mask-rate", type=float, default=0.4)
    parser.add_argument("--loss", default="global", choices=("position", "global"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--export", metavar="FILE.safetensors")
    add_switches(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    size = tuple(int(side) for side in options.size.split("x"))
    size = size * 2 if len(size) == 1 else size

    network = switched(options)
    load_teacher(network, options.teacher)
    network.to(memory_format=torch.channels_last)
    good = sorted((options.folder / "train" / "good").iterdir())
    order = torch.randperm(len(good)).tolist()
    held = max(4, len(good) // 10)
    pictures, held_out = (read([good[i] for i in part], size) for part in (order[held:], order[:held]))
    fit(network, pictures, held_out, options)
    if options.export:
        save(network, options.export)
    print(json.dumps({k: round(float(v), 5) for k, v in evaluate(network, options.folder, size).items()}))


if __name__ == "__main__":
    main()
