"""Times the program and the engines of engines.py in turn: A B C A B C A B C. A turn's figure is the median of its runs,
and an engine's the median of its turns; each waits in a process of its own while another has its turn."""
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch

import engines

TURNS, TURN_S = 3, 3  # TURN_S: seconds of an engine


class Flawgate:
    """The program itself; its turn takes 15 s."""

    def __init__(self, program, subject, threads):
        self.command = [program, "bench", subject, "--device", "cpu", "--threads", str(threads), "--json", "--quiet"]
        self.score = None  # it judges a picture of its own

    def turn(self):
        with subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout:
                figure = json.loads(line)
                if figure["of"] == "judging":
                    process.kill()
                    return figure["p50_ms"]
        raise RuntimeError(f"{self.command[0]} ended with {process.returncode}")

    def close(self):
        pass


class Engine:
    """An engine of engines.py in its process."""

    def __init__(self, engine, folder, threads):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([sys.executable, engines.__file__, "judge", engine, folder, str(threads)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.score = self.read()["score"]

    def read(self):
        line = self.process.stdout.readline()
        while line and line[0] not in "{[":  # some engines print
            line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        self.log.seek(0)
        raise RuntimeError((self.log.read().strip().splitlines() or ["it ended"])[-1])

    def turn(self):
        print(TURN_S, file=self.process.stdin, flush=True)
        return statistics.median(self.read())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def prepare_engines(bench, folder):
    """Writes weights and a picture, and what each engine makes of them; the engines that are there."""
    network = bench.network().eval()
    torch.save({"backbone": bench.options.backbone, "weights": network.state_dict()}, Path(folder) / "network.pt")
    numpy.save(Path(folder) / "picture.npy", engines.draw_pictures(1))
    for engine, (packages, convert, _) in engines.ENGINES.items():
        missing = engines.find_missing(engine)
        if missing:
            bench.print(of="left out", how=engine, why=f"not installed: pip install {' '.join(packages)}")
            continue
        if convert:
            done = subprocess.run([sys.executable, engines.__file__, "convert", engine, folder], text=True, capture_output=True)
            if done.returncode:
                bench.print(of="left out", how=engine, why=(done.stderr.strip().splitlines() or ["it ended"])[-1])
                continue
        yield engine


def open_engines(bench, names, folder, threads):
    opened = {}
    if Path(bench.options.flawgate).exists():
        opened["flawgate"] = Flawgate(bench.options.flawgate, bench.options.subject, threads)
    else:
        bench.print(of="left out", how="flawgate", why=f"no {bench.options.flawgate}: cmake --build build/cpu, or --flawgate")
    for engine in names:
        try:
            opened[engine] = Engine(engine, folder, threads)
        except RuntimeError as error:
            bench.print(of="left out", how=engine, why=str(error))
    return opened


def print_table(bench, threads, medians, scores):
    ours, exact = medians.get("flawgate"), scores.get("PyTorch")
    if not bench.options.json:
        print(f"{threads} thread{'s' * (threads > 1)}: median of {TURNS} turns, flawgate's time divided by it, "
              "how far its score is from PyTorch's")
    for how, ms in medians.items():
        ratio = ours / ms if ours else None
        away = abs(scores[how] - exact) / abs(exact) if exact and scores[how] is not None else None
        if bench.options.json:
            bench.print(of="judging", how=how, batch=1, threads=threads, p50_ms=round(ms, 4), ratio=ratio, score_error=away)
        else:
            print(f"{how:16}{ms:9.1f} ms  {f'{ratio:.2f}' if ratio else '':>6}  {f'{away:.1e}' if away is not None else '':>8}",
                  flush=True)


def bench_threads(bench, names, folder, threads):
    opened = open_engines(bench, names, folder, threads)
    turns = {how: [] for how in opened}
    for _ in range(TURNS):
        for how, engine in opened.items():
            turns[how].append(engine.turn())
    for engine in opened.values():
        engine.close()
    print_table(bench, threads, {how: statistics.median(t) for how, t in turns.items()},
                {how: engine.score for how, engine in opened.items()})


def bench_engines(bench):
    with tempfile.TemporaryDirectory() as folder:
        names = list(prepare_engines(bench, folder))
        for threads in sorted({1, bench.options.threads}):
            bench_threads(bench, names, folder, threads)
