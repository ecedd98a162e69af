"""How fast PyTorch and other engines run the same network on this machine: the peers of `flawgate bench BACKBONE`.

usage: bench.py BACKBONE|NAME.fgb [--threads N] [--device cpu|cuda] [--flawgate PROGRAM] [--json]

Random weights, or those of a bundle with the whole network; each figure printed when it is there, with --json an object a
line.

Judging is timed as flawgate bench does it: from a picture's 256 x 256 x 3 bytes in the host's memory (pinned, for a GPU)
to score and map there, normalising included (flawgate also resizes, here to the same size), one run after another, each
waited for. On a CPU: batch 1, with 1 thread and with N, flawgate and each engine of engines.py that is installed in turn
(turns.py). On a GPU: PyTorch in float16, channels last, eagerly with batches of 1, 8 and 32; and, at the very end, since
it may compile for minutes, torch.compile's max-autotune (with CUDA graphs) with batch 1.

Training: a step of the recipe on 16 pictures that lie on the device, normalised; float32, on a GPU with TF32 products as
flawgate's, and with nothing that waits between ten steps."""
import argparse
import json
import subprocess
import sys
import tempfile
import time

import torch

from network import BACKBONES, Judge, Network, load, recipe_adam

SIDE = 256
WARM_UP = 3
MOST_RUNS = 2000


def timed(run, seconds, least):
    """Milliseconds of each run, sorted. run waits for its end."""
    for _ in range(WARM_UP):
        run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < MOST_RUNS and (time.perf_counter() < end or len(times) < least):
        start = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - start))
    return sorted(times)


class Bench:
    def __init__(self, options):
        self.options, self.gpu = options, options.device == "cuda"
        self.wait = torch.cuda.synchronize if self.gpu else lambda: None
        self.print(of="device", subject=options.subject, torch=torch.__version__, threads=torch.get_num_threads(),
                   device=torch.cuda.get_device_name() if self.gpu else "cpu")

    def print(self, **figures):
        print(json.dumps(figures) if self.options.json else ", ".join(f"{k} {v}" for k, v in figures.items()), flush=True)

    def print_timing(self, of, how, batch, times, each=1):
        """Each time is that of so many runs."""
        times = [t / each for t in times]
        self.print(of=of, how=how, batch=batch, runs=len(times) * each, p50_ms=round(times[len(times) // 2], 4),
                   p99_ms=round(times[(len(times) - 1) * 99 // 100], 4), max_ms=round(times[-1], 4),
                   images_per_second=round(1e3 * batch * len(times) / sum(times), 3))

    def network(self):
        network = Network(self.options.backbone)
        if self.options.subject != self.options.backbone:
            with tempfile.NamedTemporaryFile(suffix=".safetensors") as weights:
                subprocess.run([self.options.flawgate, "bundle", "export", self.options.subject, weights.name],
                               check=True, stdout=subprocess.DEVNULL)
                load(network, weights.name)
        return network.to(self.options.device, memory_format=torch.channels_last)

    def judging(self, judge, how, batch):
        """On a GPU."""
        pixels = torch.randint(256, (batch, SIDE, SIDE, 3), dtype=torch.uint8).pin_memory()
        total, score = torch.empty(batch, SIDE, SIDE).pin_memory(), torch.empty(batch).pin_memory()

        def run():
            for to, result in zip((total, score), judge(pixels.to(self.options.device, non_blocking=True))):
                to.copy_(result, non_blocking=True)
            self.wait()

        self.print_timing("judging", how, batch, timed(run, *((15, 20) if batch == 1 else (5, 3))))

    def training(self):
        network, burst = self.network().train(), 10 if self.gpu else 1
        adam = recipe_adam(network)
        batch = torch.randn(16, 3, SIDE, SIDE, device=self.options.device).contiguous(memory_format=torch.channels_last)

        def run():
            for _ in range(burst):
                adam.zero_grad()
                network.loss(batch, 0.4, "global").backward()
                adam.step()
            self.wait()

        self.print_timing("training", "TF32" if self.gpu else "float32", 16, timed(run, 10, 3), burst)


def bench_cpu(bench):
    import turns  # it needs numpy, which a machine with a GPU may lack

    turns.bench_engines(bench)
    bench.training()


def bench_gpu(bench):
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")  # TF32, as cuDNN's convolutions have it in any case
    judge = Judge(bench.network().eval(), torch.float16).cuda()
    with torch.inference_mode():
        for batch in 1, 8, 32:
            bench.judging(judge, "eager float16", batch)
    bench.training()
    try:
        with torch.no_grad():
            bench.judging(torch.compile(judge, mode="max-autotune"), "compiled float16", 1)
    except Exception as error:  # a machine without a compiler for it, say
        sys.exit(f"compiled float16: not available: {str(error).splitlines()[0][:200]}")


def read_backbone(options):
    """Of a bundle."""
    shown = subprocess.run([options.flawgate, "bundle", "show", options.subject, "--json"], capture_output=True, text=True)
    if shown.returncode:
        sys.exit(f"{options.subject}: not one of {', '.join(BACKBONES)}, nor a bundle: {shown.stderr.strip()}")
    return json.loads(shown.stdout)["network"]["backbone"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("subject", metavar="BACKBONE|NAME.fgb")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--flawgate", default="build/cpu/flawgate")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.backbone = options.subject if options.subject in BACKBONES else read_backbone(options)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    (bench_gpu if options.device == "cuda" else bench_cpu)(Bench(options))


if __name__ == "__main__":
    main()
