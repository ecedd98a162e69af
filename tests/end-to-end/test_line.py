#!/usr/bin/env python3
"""The real daemon on a simulated line, seen from a real Modbus client (pymodbus) and from the lines' other side."""
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

from common import BUILD, bad_part, good_part, lines, main, run

sys.path.insert(0, str(Path(__file__).parent.parent))
from plc import plc, to

PATIENCE = 60
CONFIG = """
bundles = {{ {bundles} }}
deadline_ms = {deadline}
camera {{ path = "parts" memory_mib = 4 max_width = 64 max_height = 64 }}
board {{ path = "board" }}
state {{ path = "state" }}
line trigger {{ name = "TRIGGER" }}
line reject {{ name = "REJECT" }}
line ready {{ name = "READY" }}
line fault {{ name = "FAULT" }}
trigger {{ enable_at_start = true min_interval_ms = 1 }}
modbus {{ port = {port} }}
reject {{ delay_ms = {delay} pulse_ms = 50 }}
{more}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait(what, condition):
    """Polls a condition that another process makes true."""
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not happen")
        time.sleep(0.001)


class Daemon:
    """flawgated with its client; leaves nothing behind."""

    def __init__(self, folder, bundles, deadline=2000, delay=2500, more="", environment=None):
        self.port = free_port()
        self.config = folder / "line.conf"
        names = ", ".join(f'"{b}"' for b in bundles)
        self.config.write_text(CONFIG.format(bundles=names, port=self.port, deadline=deadline, delay=delay, more=more))
        shutil.rmtree(folder / "state", ignore_errors=True)  # parts begin at 1
        self.log = open(folder / "log", "w+")
        self.process = subprocess.Popen([str(BUILD / "flawgated"), "-c", str(self.config)], stdout=self.log,
                                        stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})})
        self.client = plc(self.port)
        try:
            # Connecting to a port on which nobody listens yet can end in a connection with oneself.
            wait("listening", self.listening)
            assert self.client.connect()
            if "plc_watchdog_ms" in more:  # it is watched from its first change on
                self.client.write_register(3, 1, **to(1))
            wait("trigger_ready", lambda: self.bits()[1])
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def listening(self):
        if self.process.poll() is not None:
            raise AssertionError("flawgated ended: " + self.text())
        return "listening on" in self.text()

    def text(self):
        self.log.flush()
        return Path(self.log.name).read_text()

    def bits(self):
        return self.client.read_discrete_inputs(0, 16, **to(1)).bits

    def registers(self, first, count):
        return self.client.read_input_registers(first, count, **to(1)).registers

    def u32(self, register):
        high, low = self.registers(register, 2)
        return high << 16 | low

    def line(self, what):
        done = run("flawgate", "line", self.config, what)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def coil(self, number):
        """A rising edge; the answer, which may be an exception."""
        self.client.write_coil(number, False, **to(1))
        return self.client.write_coil(number, True, **to(1))

    def result(self, part):
        """The block of this part: verdict, reason, score x 10000."""
        def block():
            b = self.registers(16, 25)
            assert b[0] == b[24], "torn"
            return b if (b[1] << 16 | b[2]) == part and self.bits()[3] else None
        b = wait(f"verdict of part {part}", block)
        return b[3], b[9], b[4] << 16 | b[5]

    def end(self, number=signal.SIGTERM):
        self.client.close()
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.log.close()
        return status


def make_line(folder):
    """A bundle and the parts of a line, good and bad in turn, in a new folder's a.fgb and parts; gives parts."""
    good, parts = folder / "good", folder / "parts"
    good.mkdir()
    parts.mkdir()
    for i in range(20):
        good_part(good / f"{i:03}.png", i)
    done = run("flawgate-train", good, "--out", folder / "a.fgb", "--teacher", "random", "--backbone", "resnet18",
               "--size", "64", "--batch", "4", "--epochs", "8")
    assert done.returncode == 0, done.stderr
    for i in range(0, 20, 2):
        good_part(parts / f"{i:03}.png", i)
        bad_part(parts / f"{i + 1:03}.png", i)
    return parts


class Line(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="flawgate-"))
        parts = make_line(cls.folder)
        shutil.copy(cls.folder / "a.fgb", cls.folder / "b.fgb")
        files = sorted(parts.iterdir())
        judged = lines(run("flawgate", "infer", cls.folder / "a.fgb", *files, "--json").stdout)
        cls.expected = [{"PASS": 1, "DEFECT": 2}[j["verdict"]] for j in judged]
        cls.scores = [j["score"] for j in judged]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def start(self, bundles=("a.fgb",), **options):
        daemon = Daemon(self.folder, [self.folder / b for b in bundles], **options)
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.end(signal.SIGKILL))
        return daemon

    def test_verdicts_equal_infer_by_line_and_by_coil(self):
        self.assertIn(1, self.expected)
        self.assertIn(2, self.expected)
        daemon = self.start()
        for part in range(1, 13):
            if part % 2:
                daemon.line("trigger=pulse")
            else:
                self.assertFalse(daemon.coil(1).isError())
            verdict, reason, score = daemon.result(part)
            self.assertEqual((verdict, reason), (self.expected[part - 1], 0))
            self.assertAlmostEqual(score / 10000, self.scores[part - 1], delta=2e-4)
            bits = daemon.bits()
            self.assertEqual([bits[4], bits[5], bits[6]], [verdict == 1, verdict == 2, False])
        counted = daemon.u32(48), daemon.u32(50), daemon.u32(52), daemon.u32(54)
        passed = self.expected[:12].count(1)
        self.assertEqual(counted, (12, passed, 12 - passed, 0))
        self.assertEqual(daemon.end(), 0)

    def test_a_trigger_clears_the_previous_result(self):
        """When the answer to a trigger is on the wire no previous part's verdict can be read."""
        daemon = self.start()
        seen_busy = 0
        for part in range(1, 21):
            wait("ready", lambda: daemon.bits()[1])
            self.assertFalse(daemon.coil(1).isError())
            bits = daemon.bits()
            if bits[2]:  # else the part was judged before this read
                seen_busy += 1
                self.assertFalse(any(bits[3:7]), bits)
            daemon.result(part)
        self.assertGreater(seen_busy, 0, "every part was judged before one read")
        self.assertEqual(daemon.end(), 0)

    def test_reject_pulses_for_a_defect_only(self):
        daemon = self.start(deadline=500, delay=600)
        for part in 1, 2:
            daemon.coil(1)
            verdict, _, _ = daemon.result(part)
            # Bit 14 follows the output; a pulse is 50 ms long and 600 ms after the trigger.
            seen, end = False, time.monotonic() + 1
            while time.monotonic() < end:
                seen = seen or daemon.bits()[14]
            self.assertEqual(seen, verdict == 2)
        self.assertEqual(daemon.end(), 0)

    def test_busy_trigger_is_refused_or_a_part_without_verdict(self):
        daemon = self.start()
        self.assertFalse(daemon.coil(1).isError())
        refused = daemon.coil(1)
        if not refused.isError():  # the first part was already judged
            self.skipTest("this machine judged the first part before a second trigger could be sent")
        self.assertEqual(refused.exception_code, 6)
        self.assertTrue(daemon.bits()[10])
        daemon.coil(3)
        self.assertFalse(daemon.bits()[10])
        self.assertEqual(daemon.end(), 0)

    def test_deadline_makes_inoperative_and_rejects(self):
        daemon = self.start(deadline=1, delay=100)
        daemon.coil(1)
        verdict, reason, score = daemon.result(1)
        self.assertEqual((verdict, score), (3, 4294967295))
        self.assertIn(reason, (2, 4))
        wait("reject", lambda: daemon.bits()[14])
        # The next part is judged afresh, or late again; never with the first one's frame.
        wait("ready", lambda: daemon.bits()[1])
        self.assertEqual(daemon.end(), 0)

    def test_job_change_under_triggers(self):
        daemon = self.start(("a.fgb", "b.fgb"), more="job { require = false }")
        part = 0
        for slot in 1, 0, 1:
            daemon.client.write_register(0, slot, **to(1))
            seen = daemon.registers(0, 46)
            self.assertTrue(seen[44] == slot or not seen[0] & 2, "ready while the job changes")
            # Edges meanwhile are parts that get no verdict of the network.
            daemon.line("trigger=pulse")
            part += 1
            verdict, reason, _ = daemon.result(part)
            if reason == 1:
                self.assertEqual(verdict, 3)
            wait("job change", lambda: daemon.registers(45, 1)[0] == 1)
            self.assertEqual(daemon.registers(44, 1)[0], slot)
            wait("ready", lambda: daemon.bits()[1])
            daemon.coil(1)
            part += 1
            self.assertIn(daemon.result(part)[0], (1, 2))
            self.assertEqual(daemon.registers(24, 1)[0], slot)
        self.assertEqual(daemon.client.write_register(0, 2, **to(1)).exception_code, 3)
        self.assertEqual(daemon.end(), 0)

    def test_damaged_second_bundle_keeps_the_first(self):
        damaged = bytearray((self.folder / "a.fgb").read_bytes())
        damaged[len(damaged) // 2] ^= 1
        (self.folder / "damaged.fgb").write_bytes(damaged)
        daemon = self.start(("a.fgb", "damaged.fgb"), more="job { require = false }")
        daemon.client.write_register(0, 1, **to(1))
        wait("refusal", lambda: daemon.registers(45, 1)[0] >= 16)
        self.assertTrue(daemon.bits()[7])
        self.assertEqual(daemon.registers(44, 1)[0], 0)
        self.assertIn("damaged.fgb", daemon.text())
        wait("ready", lambda: daemon.bits()[1])
        daemon.coil(1)
        self.assertIn(daemon.result(1)[0], (1, 2))
        self.assertEqual(daemon.end(), 0)

    def test_offline_and_disabled(self):
        daemon = self.start()
        daemon.client.write_coil(4, True, **to(1))
        self.assertFalse(daemon.bits()[0])
        daemon.line("trigger=pulse")
        self.assertFalse(daemon.coil(1).isError())
        self.assertEqual(daemon.u32(42), 0)
        daemon.client.write_coil(4, False, **to(1))
        self.assertTrue(daemon.bits()[0])
        daemon.coil(1)
        self.assertEqual(daemon.result(1)[0], self.expected[0])
        self.assertEqual(daemon.end(), 0)

    def test_plc_watchdog_stops_the_line(self):
        daemon = self.start(more="plc_watchdog_ms = 2000")
        wait("fault", lambda: daemon.bits()[7])
        self.assertEqual(daemon.registers(1, 1)[0], 20)
        self.assertFalse(daemon.bits()[1])
        daemon.client.write_register(3, 7, **to(1))
        daemon.coil(3)
        self.assertFalse(daemon.bits()[7])
        self.assertEqual(daemon.end(), 0)

    def test_port_in_use(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            config = self.folder / "taken.conf"
            config.write_text(CONFIG.format(bundles=f'"{self.folder}/a.fgb"', port=port, deadline=500,
                                            delay=600, more=""))
            done = run("flawgated", "-c", config)
        self.assertEqual(done.returncode, 3)
        self.assertIn(str(port), done.stderr)

    def test_check_says_everything(self):
        config = self.folder / "wrong.conf"
        config.write_text('bundles = { "nothing.fgb" }\ncamera { path = "parts" }\nreject { delay_ms = 1 }\n'
                          "modbus { port = 70000 }\n")
        done = run("flawgate", "check", config)
        self.assertEqual(done.returncode, 1)
        for what in "wrong.conf:4: modbus.port", "nothing.fgb", "delay_ms":
            self.assertIn(what, done.stderr)
        # What would be found only at a job change or at the first picture: damage, and pictures of another size.
        damaged = bytearray((self.folder / "a.fgb").read_bytes())
        damaged[-1000] ^= 1
        (self.folder / "damaged.fgb").write_bytes(damaged)
        others = self.folder / "others"
        others.mkdir()
        good_part(others / "large.png", 1, side=96)
        (others / "text.png").write_text("not a picture")
        config.write_text(CONFIG.format(bundles='"a.fgb", "damaged.fgb"', port=free_port(), deadline=1000, delay=1200,
                                        more="").replace('"parts"', '"others"').replace("= 64", "= 96"))
        done = run("flawgate", "check", config)
        self.assertEqual(done.returncode, 1, done.stdout)
        for what in "slot 1: ", "large.png has 96x96", "text.png":
            self.assertIn(what, done.stderr)

    @unittest.skipIf("san" in BUILD.name, "sanitizers have an allocator of their own")
    def test_steady_state_takes_no_memory(self):
        """Between parts 10 and 1,000, with two clients polling and a third reconnecting; and the plan is exact."""
        counter = self.folder / "count"
        counter.write_bytes(bytes(8))
        daemon = self.start(deadline=500, delay=600,
                            environment={"LD_PRELOAD": str(BUILD / "tests" / "libcount_allocations.so"),
                                         "FG_COUNT_FILE": str(counter)})
        with open(counter, "r+b") as file:
            page = mmap.mmap(file.fileno(), 8)
        count = lambda: struct.unpack("<Q", page)[0]
        self.assertGreater(count(), 0, "the counter is not preloaded")
        quit_polling = threading.Event()

        def poll(reconnect):
            client = plc(daemon.port)
            while not quit_polling.is_set():
                client.connect()
                client.read_input_registers(0, 100, **to(1))
                if reconnect:
                    client.close()
            client.close()

        pollers = [threading.Thread(target=poll, args=(r,)) for r in (False, True)]
        for poller in pollers:
            poller.start()
        try:
            for part in range(1, 1001):
                wait("ready", lambda: daemon.bits()[1])
                self.assertFalse(daemon.coil(1).isError())
                self.assertEqual(daemon.result(part)[0], self.expected[(part - 1) % len(self.expected)])
                if part == 10:
                    at_ten = count()
            self.assertEqual(count() - at_ten, 0)
        finally:
            quit_polling.set()
            for poller in pollers:
                poller.join()
        resident = daemon.registers(70, 1)[0]
        text = daemon.text()
        in_all = float(text.split("in all, at most")[1].split("bytes")[1].split("MiB")[0])
        print(f"resident {resident} MiB, planned at most {in_all} MiB", flush=True)
        self.assertLessEqual(resident, in_all)
        self.assertEqual(daemon.end(), 0)
        planned, used = Path(self.folder / "log").read_text().split("arena: planned ")[1].split(" bytes, used ")
        self.assertEqual(int(planned), int(used))


if __name__ == "__main__":
    main()
