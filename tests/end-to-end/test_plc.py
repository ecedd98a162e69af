#!/usr/bin/env python3
"""The samples of config/plc on the real daemon: line.py as it is, and the function block of flawgate.st, which is run here
cycle by cycle between the requests that a PLC's Modbus master makes."""
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from common import bad_part, good_part, lines, main, run
from test_line import Daemon, wait

sys.path.insert(0, str(Path(__file__).parent.parent))
from plc import to
from structured_text import Block

SAMPLES = Path(__file__).parent.parent.parent / "config/plc"


class Station:
    """A PLC that runs the block and copies its registers each cycle."""

    def __init__(self, daemon):
        self.client, self.block, self.done = daemon.client, Block((SAMPLES / "flawgate.st").read_text(), "FB_Flawgate"), []

    def cycle(self, **inputs):
        image = self.client.read_input_registers(0, 46, **to(1)).registers
        self.block.cycle(Inputs=image, **inputs)
        if self.block["Done"]:
            self.done.append((self.block["Verdict"], self.block["Reason"], round(self.block["Score"], 4)))
        assert not self.client.write_coils(0, self.block["Coils"], **to(1)).isError() or self.block["Coils"][1]
        self.client.write_register(0, self.block["SlotToUse"], **to(1))
        self.client.write_register(3, self.block["Watchdog"], **to(1))

    def until(self, what, condition, **inputs):
        def turn():
            self.cycle(**inputs)
            return condition()
        wait(what, turn)

    def judge(self):
        """Brings a part and takes it away again."""
        count = len(self.done)
        self.until("ready", lambda: self.block["Ready"], Start=False)
        self.until("a verdict", lambda: len(self.done) > count, Start=True)
        self.cycle(Start=False)
        assert len(self.done) == count + 1
        return self.done[-1]


class Samples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="flawgate-"))
        for name in "good", "parts":
            (cls.folder / name).mkdir()
        for i in range(20):
            good_part(cls.folder / f"good/{i:03}.png", i)
        for i in range(0, 8, 2):  # good and bad in turn
            good_part(cls.folder / f"parts/{i:03}.png", i)
            bad_part(cls.folder / f"parts/{i + 1:03}.png", i)
        done = run("flawgate-train", cls.folder / "good", "--out", cls.folder / "a.fgb", "--teacher", "random", "--backbone",
                   "resnet18", "--size", "64", "--batch", "4", "--epochs", "8")
        assert done.returncode == 0, done.stderr
        whole = (cls.folder / "a.fgb").read_bytes()
        (cls.folder / "b.fgb").write_bytes(whole)
        (cls.folder / "damaged.fgb").write_bytes(whole[:-1000] + bytes([whole[-1000] ^ 1]) + whole[-999:])
        judged = lines(run("flawgate", "infer", cls.folder / "a.fgb", *sorted((cls.folder / "parts").iterdir()), "--json").stdout)
        cls.expected = [({"PASS": 1, "DEFECT": 2}[j["verdict"]], 0, round(j["score"], 4)) for j in judged]
        assert {e[0] for e in cls.expected} == {1, 2}, cls.expected

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def start(self, *bundles, **options):
        daemon = Daemon(self.folder, [self.folder / b for b in bundles or ["a.fgb"]], **options)
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.end(signal.SIGKILL))
        return daemon

    def compare(self, seen):
        self.assertEqual([s[:2] for s in seen], [e[:2] for e in self.expected])
        for (_, _, score), (_, _, expected) in zip(seen, self.expected):
            self.assertAlmostEqual(score, expected, delta=2e-4)

    def test_python(self):
        daemon = self.start()
        with open(SAMPLES / "line.py") as file:
            self.assertLessEqual(sum(1 for line in file if line.strip()), 16)
        done = subprocess.run([sys.executable, "-W", "ignore", SAMPLES / "line.py", "127.0.0.1", str(daemon.port),
                               str(len(self.expected))], capture_output=True, text=True, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = [line.split() for line in done.stdout.splitlines()]
        self.assertEqual([int(r[0]) for r in rows], list(range(1, len(rows) + 1)))
        self.compare([({"PASS": 1, "DEFECT": 2}[r[1]], 0, float(r[2])) for r in rows])

    def test_structured_text(self):
        for buffer in "false", "true":
            with self.subTest(buffer):
                daemon = self.start(more=f"results {{ buffer = {buffer} }}")
                station = Station(daemon)
                self.compare([station.judge() for _ in self.expected])
                self.assertEqual(daemon.end(), 0)

    def test_a_result_that_nobody_waits_for_is_not_the_next_part(self):
        """An edge of the io that the PLC did not give; then the block's own part."""
        for buffer in "false", "true":
            with self.subTest(buffer):
                daemon = self.start(more=f"results {{ buffer = {buffer} }}")
                daemon.line("trigger=pulse")
                daemon.result(1)
                station = Station(daemon)
                self.assertEqual(station.judge()[:2], self.expected[1][:2])
                self.assertEqual(len(station.done), 1)
                self.assertEqual(daemon.end(), 0)

    def test_job_change(self):
        daemon = self.start("a.fgb", "b.fgb", more="job { require = false }")
        station = Station(daemon)
        station.until("slot 1", lambda: station.block["JobDone"], Slot=1)
        self.assertEqual(daemon.registers(44, 1), [1])
        station.judge()
        self.assertEqual(daemon.registers(24, 1), [1])

    def test_alarms(self):
        daemon = self.start("a.fgb", "damaged.fgb", more="job { require = false }")
        station = Station(daemon)
        station.until("alarm 21", lambda: station.block["AlarmCode"] == 21, Slot=1)
        self.assertFalse(station.block["JobDone"])
        station.until("slot 0", lambda: station.block["JobDone"], Slot=0)
        station.until("no alarm", lambda: not station.block["Alarm"], Clear=True)
        station.judge()
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            image = [0] * 46
            wait("alarm 1", lambda: station.block.cycle(Inputs=image) or station.block["AlarmCode"] == 1)
            self.assertFalse(station.block["Ready"])
        finally:
            daemon.process.send_signal(signal.SIGCONT)


if __name__ == "__main__":
    main()
