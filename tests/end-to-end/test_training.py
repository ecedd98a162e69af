#!/usr/bin/env python3
"""flawgate-train from pictures to bundle, as a user runs it: cut and resumed, with bad pictures, with a full disk."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import BUILD, bad_part, good_part, lines, main, png, run

FAST = ["--teacher", "random", "--backbone", "resnet18", "--size", "64", "--batch", "8"]


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="flawgate-"))
        cls.parts = cls.folder / "parts"
        cls.parts.mkdir()
        for i in range(20):
            good_part(cls.parts / f"{i:03}.png", i)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def train(self, name, *arguments, parts=None, **options):
        return run("flawgate-train", parts or self.parts, "--out", self.folder / name, *FAST, "--json", *arguments,
                   **options)

    def export(self, name):
        out = self.folder / (name + ".safetensors")
        done = run("flawgate", "bundle", "export", self.folder / name, out)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out.read_bytes()

    def test_closed_descriptors(self):
        """Without standard input, output and error, what it says goes nowhere, and not into a file that it opens."""
        teacher = self.folder / "teacher"
        os.mkfifo(teacher)
        command = f'exec "{BUILD}/flawgate-train" "{self.parts}" --out "{self.folder}/closed.fgb" --teacher "{teacher}"'
        process = subprocess.Popen(["/bin/sh", "-c", command + " 0<&- 1>&- 2>&-"])
        try:
            with open(teacher, "wb"):  # returns once the program has opened it too
                for descriptor in range(3):
                    self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{descriptor}"), "/dev/null")
        finally:
            process.kill()
            process.wait()

    def test_bundle_judges(self):
        bad = self.folder / "defective"
        bad.mkdir()
        for i in range(3):
            bad_part(bad / f"{i}.png", i)
        # A good part in too much light: its score is low, but it is unlike training's.
        png(bad / "bright.png", 64, 64, lambda y, x: (min(255, (221 if x // 4 % 2 else 91) + y % 16 * 13 // 10), 156,
                                                      (90 + x % 8) * 13 // 10))
        done = self.train("whole.fgb", "--epochs", "8", "--defective", bad)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("of good parts are above it", done.stdout + done.stderr)
        # Known defective parts do not set the threshold; a table says what each threshold would miss of them.
        bundle = lines(done.stdout)[-1]
        self.assertIn("defective pictures missed", done.stderr)
        self.assertEqual((bundle["defective"], bundle["table"][0]["threshold"]), (4, bundle["threshold"]))
        judged = run("flawgate", "infer", self.folder / "whole.fgb", *sorted(bad.iterdir()), "--json")
        verdicts = {Path(j["file"]).name: j["verdict"] for j in lines(judged.stdout)}
        self.assertEqual(verdicts["bright.png"], "INOPERATIVE")
        passed = list(verdicts.values()).count("PASS")
        self.assertEqual(bundle["table"][0]["missed"], passed)
        self.assertEqual(run("flawgate", "bundle", "verify", self.folder / "whole.fgb").returncode, 0)
        bad_part(self.folder / "bad.png", 3)
        judged = run("flawgate", "infer", self.folder / "whole.fgb", self.parts / "003.png", self.folder / "bad.png",
                     "--json")
        good, bad = lines(judged.stdout)
        self.assertEqual(judged.returncode, 1, judged.stdout + judged.stderr)
        self.assertEqual(bad["verdict"], "DEFECT")
        self.assertGreater(bad["score"], good["score"])
        # One object for each picture, even for one that is none; a script never takes a cut file for success.
        (self.folder / "none.png").write_text("not a picture")
        judged = run("flawgate", "infer", self.folder / "whole.fgb", self.folder / "none.png", self.parts / "003.png",
                     "--json")
        self.assertEqual([j["verdict"] for j in lines(judged.stdout)], ["INOPERATIVE", "PASS"])
        self.assertIsNone(lines(judged.stdout)[0]["score"])
        self.assertEqual(judged.returncode, 3)
        with open("/dev/full", "w") as full:
            cut = subprocess.run([BUILD / "flawgate", "infer", self.folder / "whole.fgb", self.parts / "003.png", "--json"],
                                 stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(cut.returncode, 3, cut.stderr)
        x, y, w, h = bad["box"]
        self.assertTrue(0 <= x and 0 <= y and x + w <= 64 and y + h <= 64 and w and h, bad)

    def test_every_device_trains(self):
        # Where each of two has half of a batch, batch norm sees other statistics and the weights become others. Each
        # has one thread, so that nothing else differs.
        losses, memory = [], []
        for devices in 1, 2:
            done = self.train(f"on-{devices}.fgb", "--epochs", "2", "--device", "cpu", "--threads", devices, "--devices",
                              devices)
            self.assertEqual(done.returncode, 0, done.stderr)
            losses.append([e["loss"] for e in lines(done.stdout) if "epoch" in e])
            memory.append(int(re.search(r"(\d+) MiB of memory", done.stderr)[1]))
        self.assertIn("2 times cpu", done.stderr)
        self.assertNotEqual(losses[0][0], losses[1][0])
        self.assertLess(losses[1][1], losses[1][0])
        self.assertGreater(memory[1], memory[0])
        self.assertEqual(run("flawgate", "bundle", "verify", self.folder / "on-2.fgb").returncode, 0)
        # A step that does not divide is refused before anything is read.
        done = self.train("on-3.fgb", "--device", "cpu", "--devices", "3")
        self.assertEqual(done.returncode, 2)
        self.assertIn("same share", done.stderr)

    def test_killed_and_resumed_equals_unbroken(self):
        whole = self.train("unbroken.fgb", "--epochs", "5")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        command = [str(BUILD / "flawgate-train"), str(self.parts), "--out", str(self.folder / "cut.fgb"), *FAST,
                   "--json", "--epochs", "5"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as cut:
            for line in cut.stdout:
                if lines(line) and lines(line)[0].get("epoch") == 3:
                    cut.send_signal(signal.SIGKILL)
                    break
        self.assertFalse((self.folder / "cut.fgb").exists())
        # Who forgets --resume, or gives another teacher with it, loses nothing.
        forgotten = self.train("cut.fgb", "--epochs", "5")
        self.assertEqual(forgotten.returncode, 3)
        self.assertIn("--resume", forgotten.stderr)
        other = run("flawgate-train", self.parts, "--out", self.folder / "cut.fgb", *FAST, "--epochs", "5", "--resume",
                    "--teacher", "tools/demo/teacher.safetensors")
        self.assertEqual(other.returncode, 3)
        self.assertIn("--teacher", other.stderr)
        # Nothing of the result depends on what was kept in memory.
        resumed = self.train("cut.fgb", "--epochs", "5", "--resume", "--cache-mib", "0")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.assertLess(len([e for e in lines(resumed.stdout) if "epoch" in e]), 5)
        self.assertEqual(self.export("unbroken.state"), self.export("cut.state"))
        self.assertEqual(self.export("unbroken.fgb"), self.export("cut.fgb"))

    def test_defective_parts_that_are_not_there(self):
        # It is said before the training, not after it.
        done = self.train("none.fgb", "--epochs", "1", "--defective", self.folder / "nowhere")
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("nowhere", done.stderr)

    def test_bad_pictures_are_listed_and_skipped(self):
        parts = self.folder / "some-bad"
        shutil.copytree(self.parts, parts)
        (parts / "empty.png").write_bytes(b"")
        (parts / "text.jpg").write_text("not a picture")
        (parts / "cut.png").write_bytes((self.parts / "000.png").read_bytes()[:200])
        os.mkfifo(parts / "pipe.png")
        done = self.train("skipped.fgb", "--epochs", "1", parts=parts)
        self.assertEqual(done.returncode, 0, done.stderr)
        # Pictures that training had do not count, whatever they are called.
        known = run("flawgate", "calibrate", self.folder / "skipped.fgb", parts)
        self.assertEqual(known.returncode, 3)
        self.assertIn("training had 20 of the pictures", known.stderr)
        for i in range(6):
            good_part(parts / f"{i:03}.png", 100 + i)
        before = (self.folder / "skipped.fgb").read_bytes()
        command = ["flawgate", "calibrate", self.folder / "skipped.fgb", parts, "--force"]
        tried = run(*command, "--dry-run")
        self.assertEqual((self.folder / "skipped.fgb").read_bytes(), before)
        calibrated = run(*command)
        self.assertEqual(calibrated.returncode, 0, calibrated.stderr)
        self.assertEqual(calibrated.stdout, tried.stdout)
        self.assertIn("Of the 6 that training did not see", calibrated.stdout)
        self.assertIn("14 pictures were at hand", calibrated.stdout)
        self.assertEqual((self.folder / "skipped.fgb.bak").read_bytes(), before)
        by_hand = run(*command, "--threshold", "0.25", "--json")
        self.assertEqual(lines(by_hand.stdout)[0]["threshold"], 0.25)
        self.assertIn("set by hand", run("flawgate", "bundle", "show", self.folder / "skipped.fgb").stdout)
        for name in "empty.png", "text.jpg", "cut.png", "pipe.png":
            self.assertIn(name, done.stderr)
            self.assertIn(name, calibrated.stderr)

    def test_output_is_tried_first(self):
        (self.folder / "folder.fgb").mkdir()
        done = self.train("folder.fgb", "--epochs", "1")
        self.assertEqual(done.returncode, 3)
        self.assertNotIn("epoch", done.stdout)
        # A name that the Modbus map cannot show does not cost the training.
        done = self.train("prüf.fgb", "--epochs", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(lines(run("flawgate", "bundle", "show", self.folder / "prüf.fgb", "--json").stdout)[0]["name"],
                         "pr__f")

    def test_interrupted_says_how_to_go_on(self):
        command = [str(BUILD / "flawgate-train"), str(self.parts), "--out", str(self.folder / "int.fgb"), *FAST,
                   "--json", "--epochs", "50"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate()
        self.assertEqual(process.returncode, 130)
        self.assertIn("int.state", said)
        self.assertIn("--resume", said)

    def test_category_is_evaluated(self):
        """A bundle says how well it does on the test pictures of its category, as eval finds it."""
        category = self.folder / "category"
        shutil.copytree(self.parts, category / "train" / "good")
        for kind in "test/good", "test/patch", "ground_truth/patch":
            (category / kind).mkdir(parents=True)
        for i in range(6):
            good_part(category / f"test/good/{i:03}.png", 40 + i)
            bad_part(category / f"test/patch/{i:03}.png", i)
            png(category / f"ground_truth/patch/{i:03}_mask.png", 64, 64,
                lambda y, x, i=i: (255,) * 3 if 16 + i <= y < 46 + i and 12 + i <= x < 42 + i else (0,) * 3)
        done = self.train("judged.fgb", "--epochs", "4", parts=category)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Of 12 test pictures", done.stderr)
        shown = lines(run("flawgate", "bundle", "show", self.folder / "judged.fgb", "--json").stdout)[0]["provenance"]
        found = lines(run("flawgate", "eval", self.folder / "judged.fgb", category, "--json").stdout)[0]
        self.assertEqual(shown["test_pictures"], 12)
        for figure in "image_auroc", "pixel_auroc", "pro":
            self.assertAlmostEqual(shown[figure], found[figure], places=5)
        self.assertGreater(shown["pixel_auroc"], 0)
        # Without any masks the figures of whole pictures are left.
        (category / "ground_truth").rename(self.folder / "masks")
        found = run("flawgate", "eval", self.folder / "judged.fgb", category, "--json")
        self.assertEqual(found.returncode, 0, found.stderr)
        self.assertAlmostEqual(lines(found.stdout)[0]["image_auroc"], shown["image_auroc"], places=5)
        self.assertIsNone(lines(found.stdout)[0]["pro"])
        (self.folder / "masks").rename(category / "ground_truth")
        # A mask that is missing is named, and takes nothing from the bundle.
        (category / "ground_truth/patch/003_mask.png").unlink()
        done = self.train("unjudged.fgb", "--epochs", "1", parts=category)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("003", done.stderr)
        shown = lines(run("flawgate", "bundle", "show", self.folder / "unjudged.fgb", "--json").stdout)[0]
        self.assertEqual(shown["provenance"]["test_pictures"], 0)

    def test_int8(self):
        """A bundle becomes int8 by the pictures that it was trained on; training can make one at once, in pieces too."""
        self.assertEqual(self.train("q.fgb", "--epochs", "4").returncode, 0)
        bundle = self.folder / "q.fgb"
        before = bundle.read_bytes()
        others = self.folder / "others"
        others.mkdir()
        for i in range(12):
            good_part(others / f"{i:03}.png", 60 + i)
        refused = run("flawgate", "bundle", "quantise", bundle, others)
        self.assertEqual(refused.returncode, 3)
        self.assertIn("lacks 20 of the 20 pictures", refused.stderr)
        self.assertEqual(bundle.read_bytes(), before)
        done = run("flawgate", "bundle", "quantise", bundle, self.parts)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("54 of 54 convolutions are int8", done.stdout)
        self.assertEqual((self.folder / "q.fgb.float").read_bytes(), before)
        self.assertLess(bundle.stat().st_size, 0.6 * len(before))
        shown = lines(run("flawgate", "bundle", "show", bundle, "--json").stdout)[0]
        self.assertEqual((shown["precision"], shown["float_convolutions"]), ("int8", []))
        self.assertEqual(run("flawgate", "bundle", "verify", bundle).returncode, 0)
        again = run("flawgate", "bundle", "quantise", bundle, self.parts)
        self.assertEqual(again.returncode, 3)
        self.assertIn("is int8 already", again.stderr)
        # Its scores are those of before, nearly.
        pictures = sorted(self.parts.iterdir())[:4]
        scores = [[j["score"] for j in lines(run("flawgate", "infer", b, *pictures, "--json").stdout)]
                  for b in (self.folder / "q.fgb.float", bundle)]
        for one, other in zip(*scores):
            self.assertAlmostEqual(other / one, 1, delta=0.1)
        # Training in one piece, and in two, gives the same int8 weights; a float training is another one.
        for name, pieces in ("one.fgb", [4]), ("two.fgb", [2, 4]):
            for epochs in pieces:
                resume = ["--resume"] if epochs > pieces[0] else []
                done = self.train(name, "--epochs", str(epochs), "--precision", "int8", *resume)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("convolutions are int8", done.stderr)
        self.assertEqual(self.export("one.fgb"), self.export("two.fgb"))
        refused = self.train("two.fgb", "--epochs", "5", "--resume")
        self.assertEqual(refused.returncode, 3)
        self.assertIn("--precision", refused.stderr)

    def test_too_few(self):
        for count in 0, 7:
            parts = self.folder / f"only-{count}"
            parts.mkdir()
            for i in range(count):
                shutil.copy(self.parts / f"{i:03}.png", parts)
            done = self.train("few.fgb", "--epochs", "1", parts=parts)
            self.assertEqual(done.returncode, 3)
            self.assertIn("8", done.stderr)
            self.assertFalse((self.folder / "few.fgb").exists())
        # What the form of the score takes is known before the first epoch.
        parts = self.folder / "only-8"
        parts.mkdir()
        for i in range(8):
            shutil.copy(self.parts / f"{i:03}.png", parts)
        done = self.train("few.fgb", "--epochs", "1", "--score", "sum-local", parts=parts)
        self.assertEqual(done.returncode, 3)
        self.assertIn("--score sum-local takes 10 pictures to train with, and there are 4", done.stderr)
        self.assertFalse((self.folder / "few.state").exists())

    def test_no_teacher(self):
        done = run("flawgate-train", self.parts, "--out", self.folder / "none.fgb")
        self.assertEqual(done.returncode, 2)
        self.assertIn("safetensors", done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "a small file system can only be mounted by root")
    def test_full_disk(self):
        disk = self.folder / "disk"
        disk.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(disk)], capture_output=True)
        if mounted.returncode:
            self.skipTest("no file system can be mounted here")
        try:
            # Room for one state, not for the next one beside it.
            done = self.train("disk/part.fgb", "--epochs", "4")
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertIn("part.state", done.stderr)
            self.assertIn("No space left", done.stderr)
            shutil.move(disk / "part.state", self.folder / "part.state")
        finally:
            subprocess.run(["umount", str(disk)], check=True)
        # Nothing was lost: the last whole state goes on elsewhere.
        resumed = self.train("part.fgb", "--epochs", "4", "--resume")
        self.assertEqual(resumed.returncode, 0, resumed.stderr)


if __name__ == "__main__":
    main()
