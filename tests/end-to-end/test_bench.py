#!/usr/bin/env python3
"""flawgate bench prints each figure when it is there; tests/gpu.sh makes a table of them and passes nothing that was cut
off (with programs that only print, since there is no GPU)."""
import json
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import BUILD, lines, main, run


class Bench(unittest.TestCase):
    def test_floor_of_a_data_sheet(self):
        done = run("flawgate", "bench", "wide_resnet50_2", "--floor=h200", "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        rates, *floors = lines(done.stdout)
        self.assertEqual([f["batch"] for f in floors], [1, 8, 32])
        # 46.5 G multiply-adds a picture (runtime/network/network.h, section 9), two operations each
        self.assertTrue(all(f["ms"] >= 1e3 * f["batch"] * 93e9 / rates["operations_per_second"] for f in floors))

    def test_stopped_it_has_printed_the_first_figures(self):
        bench = subprocess.Popen([BUILD / "flawgate", "bench", "resnet18", "--device", "cpu", "--threads", "2", "--json"],
                                 stdout=subprocess.PIPE, text=True)
        device, judging = (json.loads(bench.stdout.readline()) for _ in range(2))
        self.assertEqual((device["of"], device["subject"], device["backend"]), ("device", "resnet18", "cpu"))
        self.assertEqual((judging["of"], judging["batch"]), ("judging", 1))
        self.assertTrue(0 < judging["p50_ms"] <= judging["p99_ms"] <= judging["max_ms"])
        for threads in 1, 2:
            self.check_layers(bench.stdout, threads)
        bench.kill()
        bench.communicate()

    def check_layers(self, figures, threads):
        layers = [json.loads(figures.readline())]
        while layers[-1]["of"] == "layer":
            layers.append(json.loads(figures.readline()))
        whole = layers.pop()
        self.assertEqual((whole["of"], {layer["threads"] for layer in [whole, *layers]}), ("layers", {threads}))
        self.assertEqual(len({layer["name"] for layer in layers}), len(layers))
        # 5.2 G multiply-adds (runtime/network/network.h, section 9)
        self.assertEqual(round(sum(layer["multiply_adds"] for layer in layers) / 1e9, 1), 5.2)
        self.assertEqual(sum(layer["multiply_adds"] for layer in layers), whole["multiply_adds"])
        self.assertAlmostEqual(sum(layer["ms"] for layer in layers), whole["sum_ms"], 1)
        self.assertAlmostEqual(sum(layer["share"] for layer in layers), 1, 1)
        convolutions = [layer for layer in layers if layer["multiply_adds"]]
        self.assertEqual({bool(layer["way"]) for layer in convolutions}, {True})
        self.assertTrue(all(0 < layer["done"] <= layer["multiply_adds"] for layer in convolutions))
        stem, = (layer for layer in layers if layer["name"] == "teacher.conv1")
        self.assertEqual((stem["shape"], stem["steps"], stem["multiply_adds"]),
                         ("7x7/2 3 to 64, 128x128", 1, 7 * 7 * 3 * 64 * 128 * 128))

    def test_unknown_names_are_refused(self):
        done = run("flawgate", "bench", "resnet19")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("wide_resnet50_2", done.stderr)
        self.assertEqual(run("flawgate", "bench").returncode, 2)


OURS = ['{"of": "device", "subject": "resnet18"}', '{"of": "judging", "batch": 1, "p50_ms": 2.5, "p99_ms": 9}',
        '{"of": "floor", "batch": 1, "ms": 1.25}', '{"of": "judging", "batch": 8, "p50_ms": 7}',
        '{"of": "training", "batch": 16, "images_per_second": 300}']
THEIRS = ['{"of": "judging", "how": "eager", "batch": 1, "p50_ms": 10.0}',
          '{"of": "judging", "how": "eager", "batch": 32, "p50_ms": 1}',
          '{"of": "training", "batch": 16, "images_per_second": 150}',
          '{"of": "judging", "how": "compiled", "batch": 1, "p50_ms": 5.0}']
CUT_OFF = 124  # how timeout ends


class Script(unittest.TestCase):
    def setUp(self):
        self.tree = Path(tempfile.mkdtemp(prefix="flawgate-"))
        self.results = self.tree / "build/gpu/results"
        (self.tree / "tests/torch").mkdir(parents=True)
        self.results.mkdir(parents=True)
        shutil.copy("tests/gpu.sh", self.tree / "tests")
        self.program("gpu_check", ["Some GPU"], 0)

    def tearDown(self):
        shutil.rmtree(self.tree)

    def program(self, name, says, status):
        path = self.tree / "build/gpu" / name
        path.write_text("#!/bin/sh\n" + "".join(f"printf '%s\\n' {shlex.quote(line)}\n" for line in says) + f"exit {status}\n")
        path.chmod(0o755)

    def peer(self, says, status):
        (self.tree / "tests/torch/bench.py").write_text(f"import os\nprint({chr(10).join(says)!r}, flush=True)\nos._exit({status})\n")

    def gpu(self, *arguments):
        """The exit status, and the table's lines by name."""
        done = subprocess.run([self.tree / "tests/gpu.sh", *arguments], capture_output=True, text=True, timeout=60)
        results = {}
        for line in lines((self.results / "results.json").read_text()):
            results.setdefault(line["check"], []).append((line["result"], line["detail"]))
        return done.returncode, results

    def test_ratios(self):
        self.program("flawgate", OURS, 0)
        self.peer(THEIRS, 0)
        status, results = self.gpu("bench", "resnet18")
        self.assertEqual(status, 0)
        self.assertEqual(results["flawgate"], [("measured", json.loads(line)) for line in OURS])
        for name, figure in ("p50 to PyTorch", "0.50 (2.5 / 5.0 ms"), ("p50 to the floor", "2.00"), ("training to PyTorch", "2.00"):
            (result, detail), = results[name]
            self.assertEqual(result, "measured")
            self.assertTrue(detail.startswith(figure), detail)

    def test_what_was_cut_off_has_its_figures(self):
        self.program("flawgate", OURS[:2], CUT_OFF)
        self.peer(THEIRS[:2], CUT_OFF)
        status, results = self.gpu("bench", "resnet18")
        self.assertEqual(status, 1)
        self.assertEqual([result for result, _ in results["flawgate"]], ["measured", "measured", "cut off"])
        self.assertEqual([result for result, _ in results["torch"]], ["measured", "measured", "cut off"])
        self.assertTrue(results["p50 to PyTorch"][0][1].startswith("0.25 (2.5 / 10.0 ms, the best of eager)"))
        self.assertEqual(results["training to PyTorch"][0][0], "not available")

    def test_no_figure_of_an_earlier_run(self):
        self.program("flawgate", OURS, 0)
        self.peer(THEIRS, 0)
        self.gpu("bench", "resnet18")
        self.peer(["No module named torch"], 1)
        self.program("flawgate", [], 3)
        status, results = self.gpu("bench", "resnet18")
        self.assertEqual(status, 1)
        self.assertEqual(results["flawgate"][0][0], "failed")
        self.assertEqual({results[name][0][0] for name in results if " to " in name}, {"not available"})

    def test_a_check_that_is_cut_off_has_not_passed(self):
        self.program("gpu_check", ["[       OK ] test_resnet18", "score 1, the CPU's 1"], 0)
        status, results = self.gpu("check")
        self.assertEqual((status, results["network"]), (0, [("measured", "score 1, the CPU's 1"), ("passed", "1 tests")]))
        check = self.tree / "build/gpu/gpu_check"
        check.write_text(check.read_text().replace("exit 0", f'case $1 in finite) exit {CUT_OFF} ;; half) exit 1 ;; esac'))
        status, results = self.gpu("check")
        self.assertEqual(status, 1)
        self.assertEqual([results[name][-1][0] for name in ("network", "finite", "half", "exact")],
                         ["passed", "cut off", "failed", "passed"])

    def test_no_gpu(self):
        self.program("gpu_check", ["no driver \"here\""], 3)
        status, results = self.gpu("check")
        self.assertEqual((status, list(results)), (3, ["device"]))
        self.assertEqual(results["device"][0][0], "not available")


if __name__ == "__main__":
    main()
