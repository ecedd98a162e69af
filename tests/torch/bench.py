"""How fast PyTorch runs the same network on this machine: the peer of `flawgate bench BACKBONE`.

usage: bench.py BACKBONE [--threads N] [--device cpu|cuda] [--json]

256 x 256, from the normalised picture to the blurred map, random weights, medians. On a CPU: float32, channels last,
batch 1, eagerly and traced, frozen and optimised for inference (which folds batch norm). On a GPU: float16, channels
last, eagerly with batches of 1, 8 and 32, and compiled (max-autotune, with CUDA graphs) with batch 1. Training: batch
16, one step of the recipe with Adam, as PyTorch does it unasked (on a GPU TF32 where it takes it for convolutions)."""
import argparse
import json
import statistics
import sys
import time

import torch

from network import Network, anomaly_map

SIDE = 256


def median(run, seconds, least, wait):
    """Seconds of one run; wait ends what it has queued."""
    for _ in range(3):
        run()
    wait()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < least:
        start = time.perf_counter()
        run()
        wait()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


class Judge(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return anomaly_map([m.float() for m in self.network.level_maps(x)], SIDE, SIDE)


def pictures(batch, device, dtype):
    return torch.rand(batch, 3, SIDE, SIDE, device=device, dtype=dtype).contiguous(memory_format=torch.channels_last)


def judging_on_cpu(judge, wait):
    x = pictures(1, "cpu", torch.float32)
    with torch.inference_mode():
        yield "eager", 1, median(lambda: judge(x), 10, 10, wait)
    with torch.no_grad():
        frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(judge, x)))
        yield "frozen", 1, median(lambda: frozen(x), 10, 10, wait)


def judging_on_gpu(judge, wait):
    judge = judge.half()
    with torch.inference_mode():
        for batch in 1, 8, 32:
            x = pictures(batch, "cuda", torch.float16)
            yield "eager float16", batch, median(lambda: judge(x), 5, 20, wait)
    x = pictures(1, "cuda", torch.float16)
    try:
        with torch.no_grad():
            compiled = torch.compile(judge, mode="max-autotune")
            yield "compiled float16", 1, median(lambda: compiled(x), 5, 20, wait)
    except Exception as error:  # a machine without a compiler for it, say
        print(f"compiled float16: not available: {str(error).splitlines()[0][:200]}", file=sys.stderr, flush=True)


def training(backbone, device, wait):
    net = Network(backbone).to(device, memory_format=torch.channels_last).train()
    adam = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], 1e-3)
    batch = pictures(16, device, torch.float32)

    def step():
        adam.zero_grad()
        net.loss(batch, 0.4).backward()
        adam.step()

    return 16 / median(step, 10, 3, wait)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("backbone")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    gpu = a.device == "cuda"
    if gpu:
        torch.backends.cudnn.benchmark = True
    wait = torch.cuda.synchronize if gpu else lambda: None
    judge = Judge(Network(a.backbone).to(a.device, memory_format=torch.channels_last).eval()).eval()
    name = torch.cuda.get_device_name() if gpu else f"{a.threads} threads"
    said = {"subject": a.backbone, "torch": torch.__version__, "device": name, "judging": []}
    for how, batch, seconds in (judging_on_gpu if gpu else judging_on_cpu)(judge, wait):
        said["judging"].append({"how": how, "batch": batch, "p50_ms": 1e3 * seconds, "images_per_second": batch / seconds})
        if not a.json:
            print(f"{a.backbone}, PyTorch {torch.__version__}, {name}: judging batch {batch} {how} "
                  f"{1e3 * seconds:.2f} ms, {batch / seconds:.1f} images/s", flush=True)
    del judge
    said["training_images_per_second"] = training(a.backbone, a.device, wait)
    if a.json:
        print(json.dumps(said))
    else:
        print(f"training {said['training_images_per_second']:.2f} images/s", flush=True)


if __name__ == "__main__":
    main()
