#!/usr/bin/env python3
"""What a line keeps: pictures, scores, metrics and proposals, by the real daemon; and what is made of them."""
import csv
import io
import json
import mmap
import random
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from common import BUILD, free_port, lines, main, run
from test_line import Daemon, make_line, wait

sys.path.insert(0, str(Path(__file__).parent.parent))
from plc import to


def png_head(path):
    """Width, height and bits of a PNG that is whole."""
    data = Path(path).read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n" and data[-8:-4] == b"IEND", path
    return struct.unpack(">IIB", data[16:25])


def score_log(path, checksum, scores, room=4096):
    """Writes a log as flawgated does; runtime/store/scores.h has the format."""
    head = struct.pack("<8s5I", b"FGSCORES", 1, 32, room, 0, 0)
    with open(path, "wb") as file:
        file.write(head + struct.pack("<I", zlib.crc32(head)))
        for i, score in enumerate(scores):
            body = struct.pack("<IIIffIBBBB", i, i + 1, 1700000000 + i, score, 0.1, checksum, 1, 16, 0, 0)
            file.write(struct.pack("<I", zlib.crc32(body)) + body)


class Store(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="flawgate-"))
        parts = make_line(cls.folder)
        files = sorted(parts.iterdir())
        judged = lines(run("flawgate", "infer", cls.folder / "a.fgb", *files, "--json").stdout)
        cls.expected = [{"PASS": 1, "DEFECT": 2}[j["verdict"]] for j in judged]
        cls.doubtful = [j["doubtful"] for j in judged]
        cls.scores = [j["score"] for j in judged]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def start(self, store, **options):
        daemon = Daemon(self.folder, [self.folder / "a.fgb"], more=f"store {{ {store} }}", **options)
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.end(9))
        return daemon

    def make_folder(self):
        """An absolute path that is not there yet, and goes with the test."""
        folder = Path(tempfile.mkdtemp(prefix="flawgate-store-"))
        self.addCleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        return folder / "store"

    def judge(self, daemon, parts):
        """Triggers these parts, whose verdicts are what infer says."""
        for part in parts:
            wait("ready", lambda: daemon.bits()[1])
            self.assertFalse(daemon.coil(1).isError())
            self.assertEqual(daemon.result(part)[0], self.expected[(part - 1) % len(self.expected)])

    def print_csv(self, daemon):
        done = run("flawgate", "log", daemon.config, "--csv")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return list(csv.DictReader(io.StringIO(done.stdout)))

    def test_pictures_of_defects_and_scores_of_all(self):
        store = self.make_folder()
        daemon = self.start(f'path = "{store}"')
        kept = [i for i in range(12) if self.expected[i] == 2 or self.doubtful[i]]
        pictures = store / "pictures"
        for part in range(1, 13):
            self.judge(daemon, [part])
            if part - 1 in kept:  # more of them at once than the store has slots would be dropped
                wait("a picture", lambda: list(pictures.glob(f"*_part{part}_*.json")))
        rows = wait("12 scores", lambda: (lambda r: r if len(r) == 12 else None)(self.print_csv(daemon)))
        for i, row in enumerate(rows):
            self.assertEqual((int(row["part"]), row["view"], row["slot"]), (i + 1, "0", "0"))
            self.assertEqual(row["verdict"], {1: "PASS", 2: "DEFECT"}[self.expected[i]])
            self.assertAlmostEqual(float(row["score"]), self.scores[i], delta=1e-6 + 1e-4 * self.scores[i])
        found = sorted(pictures.glob("*.json"))
        self.assertEqual(len(found), len(kept))
        for i, file in zip(kept, found):
            about = json.loads(file.read_text())
            self.assertEqual((about["part"], about["view"], about["bundle"]), (i + 1, 0, "a"))
            self.assertEqual(about["kept_as"], "defect" if self.expected[i] == 2 else "doubtful")
            self.assertEqual(about["checksum"], rows[i]["checksum"])
            self.assertEqual(png_head(pictures / about["picture"]), (64, 64, 8))
            self.assertEqual(png_head(pictures / about["map"]), (64, 64, 16))
            again = lines(run("flawgate", "infer", self.folder / "a.fgb",
                              pictures / about["picture"], "--json").stdout)[0]
            self.assertAlmostEqual(again["score"], about["score"], delta=1e-6 + 1e-5 * about["score"])
            self.assertEqual(again["box"], about["box"])
            self.assertAlmostEqual(about["score"], self.scores[i], delta=1e-6 + 1e-4 * self.scores[i])
        plain = run("flawgate", "log", daemon.config).stdout.splitlines()
        self.assertEqual(len(plain), 12)
        self.assertIn("part 1: PASS", plain[0])
        self.assertFalse(daemon.bits()[13])
        self.assertEqual(daemon.end(), 0)
        self.assertFalse(list(pictures.glob("*.tmp")))

        # A restart goes on with both.
        daemon = self.start(f'path = "{store}" good_every = 1')
        self.judge(daemon, [1])
        wait("a good part's picture", lambda: len(list(pictures.glob("*_part1_view0_*.json"))) == (0 in kept) + 1)
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(len(self.print_csv(daemon)), 13)
        self.assertEqual(len(list(pictures.glob("*.json"))), len(kept) + 1)

    def test_command_2_saves_the_next_frame(self):
        store = self.make_folder()
        daemon = self.start(f'path = "{store}"')
        self.judge(daemon, [1])
        self.assertFalse(daemon.client.write_register(2, 2, **to(1)).isError())
        self.assertFalse(daemon.coil(6).isError())
        self.assertEqual(daemon.registers(45, 1), [2])
        self.judge(daemon, [2, 3])  # a part that nobody would keep comes next but one
        wait("saved", lambda: daemon.registers(45, 1) == [1])
        self.assertEqual([json.loads(f.read_text())["part"] for f in (store / "pictures").glob("*_asked.json")], [2])
        self.assertEqual(daemon.end(), 0)

    def test_check_names_what_cannot_be_written(self):
        config = self.folder / "check.conf"

        def check(store):
            config.write_text(f'bundles = {{ "a.fgb" }}\ncamera {{ path = "parts" }}\nboard {{ path = "board" }}\n'
                              f'modbus {{ port = {free_port()} }}\nstore {{ {store} }}\n')
            done = run("flawgate", "check", config)
            return done.returncode, done.stdout + done.stderr

        status, text = check('path = "kept" metrics = "line.prom"')
        self.assertEqual(status, 0, text)
        with_pictures = int(text.split("pictures and scores to store")[1].split()[0])
        self.assertLess(int(check("")[1].split("pictures and scores to store")[1].split()[0]), with_pictures)
        status, text = check('path = "none/kept" metrics = "a.fgb/line.prom"')
        self.assertEqual(status, 1, text)
        self.assertIn("there is no folder " + str(self.folder / "none"), text)
        self.assertIn("a.fgb is no folder", text)

    def test_a_log_that_claims_to_be_large(self):
        """What is read, not what the head says, takes memory."""
        config, store = self.folder / "large.conf", self.make_folder()
        config.write_text(f'bundles = {{ "a.fgb" }}\ncamera {{ path = "parts" }}\nstore {{ path = "{store}" }}\n')
        store.mkdir()
        score_log(store / "scores.fgl", 1, [0.05, 0.06], room=1 << 28)
        done = run("flawgate", "log", config, "--csv",
                   preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)))
        self.assertEqual((done.returncode, len(done.stdout.splitlines())), (0, 3), done.stderr)

    def test_command_2_without_a_store_says_so(self):
        daemon = self.start("")
        daemon.client.write_register(2, 2, **to(1))
        self.assertFalse(daemon.coil(6).isError())
        self.assertEqual(daemon.registers(45, 1), [31])
        self.assertIn("store.path", daemon.text())
        self.assertEqual(daemon.end(), 0)

    def test_the_quota_deletes_the_oldest(self):
        store = self.make_folder()
        pictures = store / "pictures"
        pictures.mkdir(parents=True)
        for i in range(1, 5):  # pictures of an earlier run, half a MiB each
            name = f"{i:010}_20260101T000000.{i:03}Z_part{i}_view0_defect"
            (pictures / f"{name}.png").write_bytes(bytes(1 << 19))
            (pictures / f"{name}.json").write_text("{}")
        (pictures / "left.png.tmp").write_text("of a power cut")
        (pictures / "mine.png").write_text("somebody else's")
        daemon = self.start(f'path = "{store}" quota_mib = 1 days = 36500 good_every = 1')
        self.judge(daemon, [1])
        wait("the new picture", lambda: list(pictures.glob("0000000005_*_part1_view0_*.json")))
        wait("the old are deleted", lambda: len(list(pictures.glob("*.json"))) == 2)
        self.assertEqual(sorted(f.name[:10] for f in pictures.glob("*.json")), ["0000000004", "0000000005"])
        self.assertEqual(len(list(pictures.glob("*.png"))), 4)  # two, a map, and what is nobody's here
        self.assertFalse((pictures / "left.png.tmp").exists())
        self.assertEqual(daemon.end(), 0)
        daemon = self.start(f'path = "{store}" days = 30')  # all that is older is deleted at the start
        wait("age", lambda: len(list(pictures.glob("*.json"))) == 1)
        self.assertEqual(daemon.end(), 0)

    def test_a_disk_that_breaks_delays_no_verdict(self):
        store = self.make_folder()
        pictures = store / "pictures"
        pictures.mkdir(parents=True)
        metrics = store.parent / "line.prom"
        daemon = self.start(f'path = "{store}" good_every = 1 metrics = "{metrics}"', deadline=1000, delay=1100)
        wait("the store has begun", lambda: (store / "scores.fgl").exists() and metrics.exists())
        self.judge(daemon, [1])
        first = wait("the first picture", lambda: list(pictures.glob("0000000001_*.json")))[0]
        self.assertFalse(daemon.bits()[13])
        pictures.rename(store / "gone")
        self.judge(daemon, range(2, 12))
        wait("degraded", lambda: daemon.bits()[13])
        said = daemon.text().count("store: pictures cannot be written")
        self.assertEqual(said, 1, daemon.text())
        self.assertEqual(daemon.registers(54, 2), [0, 0], "a part was INOPERATIVE")
        # It works again by itself.
        part = 12

        def again():
            nonlocal part
            self.judge(daemon, [part])
            part += 1
            return not daemon.bits()[13]
        wait("it works again", again)
        self.assertIn("pictures can be written again", daemon.text())
        self.assertTrue((store / "gone" / first.name).exists())
        self.assertEqual(daemon.end(), 0)
        families = {f.name: f for f in text_string_to_metric_families(metrics.read_text())}
        dropped = families["flawgate_dropped_pictures"].samples[0].value
        self.assertGreater(dropped, 0)
        self.assertEqual(families["flawgate_scores"].samples[0].value, part - 1)

    def test_a_full_disk_delays_no_verdict(self):
        disk = self.make_folder().parent
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=36m", "none", disk], capture_output=True).returncode:
            self.skipTest("this user cannot mount a small disk")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", disk], check=True))
        daemon = self.start(f'path = "{disk}/store" good_every = 1', deadline=1000, delay=1100)
        self.judge(daemon, [1])
        wait("the first picture", lambda: list((disk / "store" / "pictures").glob("*.json")))
        with open(disk / "full", "wb", buffering=0) as file:
            with self.assertRaises(OSError):
                while True:
                    file.write(bytes(4096))
        self.judge(daemon, range(2, 12))
        wait("degraded", lambda: daemon.bits()[13])
        wait("it is said", lambda: "make room on the disk" in daemon.text())
        self.assertEqual(daemon.registers(54, 2), [0, 0], "a part was INOPERATIVE")
        # The log has its disk space since the start.
        wait("all scores", lambda: len(self.print_csv(daemon)) == 11)
        self.assertFalse(list((disk / "store" / "pictures").glob("*.tmp")))
        self.assertEqual(daemon.end(), 0)

    def test_metrics_are_openmetrics(self):
        metrics = self.make_folder().parent / "line.prom"
        daemon = self.start(f'metrics = "{metrics}"')
        self.judge(daemon, range(1, 7))
        self.assertEqual(daemon.end(), 0)  # the last figures are written at the end
        families = {f.name: f for f in text_string_to_metric_families(metrics.read_text())}
        parts = {s.labels["verdict"]: s.value for s in families["flawgate_parts"].samples}
        self.assertEqual(families["flawgate_parts"].type, "counter")
        passed = self.expected[:6].count(1)
        self.assertEqual(parts, {"pass": passed, "defect": 6 - passed, "inoperative": 0})
        self.assertEqual(families["flawgate_latency_seconds"].unit, "seconds")
        self.assertGreater(families["flawgate_latency_seconds"].samples[3].value, 0)
        for name in "missed_triggers", "fault", "results_queued", "dropped_pictures":
            self.assertEqual(families["flawgate_" + name].samples[0].value, 0, name)
        self.assertFalse(list(metrics.parent.glob("*.tmp")))

    def test_a_threshold_is_proposed_and_nothing_moves(self):
        store = self.make_folder()
        daemon = self.start(f'path = "{store}"')
        before = daemon.u32(22)
        self.assertEqual(daemon.u32(256), 0)
        self.judge(daemon, range(1, 201))
        proposed = wait("a proposal", lambda: daemon.u32(256))
        self.assertIn("after 200 parts", daemon.text())
        scores = sorted(float(r["score"]) for r in wait(
            "200 scores", lambda: (lambda r: r if len(r) == 200 else None)(self.print_csv(daemon))))
        self.assertGreater(proposed / 10000, statistics.median(scores))
        self.judge(daemon, [201])
        self.assertIn(before, (0, daemon.u32(22)))
        self.assertEqual(daemon.registers(258, 14), [0] * 14)
        threshold = daemon.u32(22)
        self.assertEqual(daemon.end(), 0)

        # The same scores give the bundle the same threshold.
        copy = store / "a.fgb"
        shutil.copy(self.folder / "a.fgb", copy)
        done = run("flawgate", "calibrate", copy, "--from-line", store / "scores.fgl", "--json", "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        said = lines(done.stdout)[0]
        self.assertEqual(said["pictures"], 201)
        self.assertAlmostEqual(said["threshold"], proposed / 10000, delta=0.1 * proposed / 10000)
        self.assertAlmostEqual(said["old_threshold"], threshold / 10000, delta=1e-4)

    def test_calibrate_from_line(self):
        bundle, log = self.folder / "line.fgb", self.folder / "scores.fgl"
        shutil.copy(self.folder / "a.fgb", bundle)
        checksum = self.find_checksum(bundle)
        draw = random.Random(1)
        old = lines(run("flawgate", "infer", bundle, self.folder / "good" / "000.png", "--json").stdout)[0]["threshold"]
        good = [old * 0.5 * draw.lognormvariate(0, 0.12) for _ in range(2000)]
        defects = [old * draw.uniform(2, 20) for _ in range(100)]

        def calibrate(scores, *options, status=0):
            score_log(log, checksum, scores)
            done = run("flawgate", "calibrate", bundle, "--from-line", log, "--json", *options)
            self.assertEqual(done.returncode, status, done.stderr)
            return lines(done.stdout)[0] if status == 0 else done.stderr

        untouched = bundle.read_bytes()
        clean = calibrate(good, "--dry-run")
        mixed = good + defects
        draw.shuffle(mixed)
        moved = calibrate(mixed, "--dry-run")
        self.assertLess(abs(moved["threshold"] / clean["threshold"] - 1), 0.06)
        self.assertEqual((moved["pictures"], moved["above_old"], moved["written"]), (2100, 100, False))
        self.assertEqual(bundle.read_bytes(), untouched)
        # Many above the old threshold are no few defects.
        self.assertIn("--force", calibrate(mixed + defects, "--dry-run", status=3))
        calibrate(mixed + defects, "--dry-run", "--force")
        # Another bundle's scores, and too few.
        score_log(log, checksum ^ 1, good)
        done = run("flawgate", "calibrate", bundle, "--from-line", log)
        self.assertEqual(done.returncode, 3)
        self.assertIn("0 scores", done.stderr)
        self.assertIn("at least 200", calibrate(good[:199], status=3))
        # Written, with the old one beside it; what is written is a bundle that serves.
        written = calibrate(mixed)
        self.assertEqual((written["threshold"], written["written"]), (moved["threshold"], True))
        self.assertEqual((self.folder / "line.fgb.bak").read_bytes(), untouched)
        self.assertEqual(run("flawgate", "bundle", "verify", bundle).returncode, 0)
        after = lines(run("flawgate", "infer", bundle, self.folder / "good" / "000.png", "--json").stdout)[0]
        self.assertAlmostEqual(after["threshold"], written["threshold"], delta=1e-6)
        # It is another bundle now, whose scores the log does not have.
        done = run("flawgate", "calibrate", bundle, "--from-line", log)
        self.assertEqual(done.returncode, 3)
        for wrong in ([], [self.folder / "good", "--from-line", log], ["--from-line", log, "--defective", self.folder]):
            self.assertEqual(run("flawgate", "calibrate", bundle, *wrong).returncode, 2, wrong)

    def find_checksum(self, bundle):
        """The bundle's checksum, as the line's registers show it."""
        daemon = Daemon(self.folder, [bundle])
        try:
            return daemon.u32(82)
        finally:
            daemon.end()

    def test_steady_state_takes_no_memory(self):
        store = self.make_folder()
        counter = self.folder / "counter"
        counter.write_bytes(bytes(8))
        daemon = self.start(f'path = "{store}" good_every = 1 metrics = "{store.parent}/line.prom"',
                            environment={"LD_PRELOAD": str(BUILD / "tests" / "libcount_allocations.so"),
                                         "FG_COUNT_FILE": str(counter)})
        with open(counter, "r+b") as file:
            page = mmap.mmap(file.fileno(), 8)
        count = lambda: struct.unpack("<Q", page)[0]

        def judge_and_store(parts):
            for part in parts:
                self.judge(daemon, [part])
                wait("picture", lambda: list((store / "pictures").glob(f"*_part{part}_*.json")))

        judge_and_store(range(1, 11))
        at_ten = count()
        judge_and_store(range(11, 51))
        self.judge(daemon, range(51, 351))  # faster than the disk: pictures are dropped, and a proposal is made
        wait("a proposal", lambda: daemon.u32(256))
        self.assertEqual(count(), at_ten)
        page.close()
        self.assertEqual(daemon.end(), 0)


if __name__ == "__main__":
    main()
