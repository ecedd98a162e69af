"""How fast PyTorch runs the same network on this machine: the peer of `flawgate bench BACKBONE`.

usage: bench.py BACKBONE [--threads N]

Judging: batch 1, 256 x 256, float32, channels last, from the normalised picture to the blurred map; eagerly, and traced,
frozen and optimised for inference (which folds batch norm): the better of the two is the peer. Training: batch 16, one
step of the recipe with Adam. Medians, random weights."""
import argparse
import statistics
import time

import torch

from network import Network, anomaly_map

SIDE = 256


def median(run, seconds, least):
    for _ in range(3):
        run()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < least:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class Judge(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return anomaly_map(self.network.level_maps(x), SIDE, SIDE)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("backbone")
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    net = Network(a.backbone).to(memory_format=torch.channels_last).eval()
    x = torch.rand(1, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    judge = Judge(net).eval()
    with torch.inference_mode():
        eager = median(lambda: judge(x), 10, 10)
    with torch.no_grad():
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(judge, x)))
        traced = median(lambda: frozen(x), 10, 10)
    print(f"{a.backbone}, PyTorch {torch.__version__}, {a.threads} threads: judging {1e3 * eager:.1f} ms eager, "
          f"{1e3 * traced:.1f} ms frozen", flush=True)
    net.train()
    adam = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-3)
    batch = torch.rand(16, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)

    def step():
        adam.zero_grad()
        net.loss(batch, 0.4).backward()
        adam.step()

    seconds = median(step, 10, 3)
    print(f"training {16 / seconds:.2f} images/s", flush=True)


if __name__ == "__main__":
    main()
