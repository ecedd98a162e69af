#!/usr/bin/env python3
"""flawgate monitor on a real terminal, whose screen an emulator keeps, beside a real flawgated that ends and comes
back."""
import fcntl
import os
import select
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path

import pyte

from common import BUILD, free_port, main, quick_bundle, run

PATIENCE = 60
CONFIG = """bundles = {{ "a.fgb" }}
deadline_ms = 2000
camera {{ path = "good" memory_mib = 8 max_width = 64 max_height = 64 }}
board {{ path = "board" }}
state {{ path = "state" }}
line trigger {{ name = "T" }}
trigger {{ enable_at_start = true }}
reject {{ delay_ms = 2500 }}
modbus {{ port = {port} }}
"""


class Terminal:
    """A program on a terminal of its own, and the screen that its user sees."""

    def __init__(self, rows, columns, *command):
        self.ours, theirs = os.openpty()
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        self.settings = termios.tcgetattr(theirs)
        self.resize(rows, columns)
        self.process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.theirs = theirs

    def resize(self, rows, columns):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.screen.resize(rows, columns)

    def wait(self, what, condition):
        """Reads what the program writes until its screen is so; condition gets the lines."""
        end = time.monotonic() + PATIENCE
        while not condition(self.screen.display):
            ready, _, _ = select.select([self.ours], [], [], max(0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"{what} did not happen:\n" + "\n".join(self.screen.display))
            block = os.read(self.ours, 65536)
            self.bytes += block
            self.stream.feed(block)

    def leave(self, how):
        """Does what ends the program; its exit status. The terminal is as it was."""
        how()
        status = self.process.wait(PATIENCE)
        while select.select([self.ours], [], [], 0)[0]:
            self.bytes += os.read(self.ours, 65536)
        after = termios.tcgetattr(self.theirs)
        os.close(self.ours)
        os.close(self.theirs)
        assert after == self.settings, (after, self.settings)
        assert self.bytes.endswith(b"\x1b[?25h\x1b[?1049l"), self.bytes[-40:]
        return status


class Monitor(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="flawgate-"))
        quick_bundle(cls.folder)
        cls.port = free_port()
        cls.config = cls.folder / "line.conf"
        cls.config.write_text(CONFIG.format(port=cls.port))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def start(self):
        """A flawgated that listens."""
        daemon = subprocess.Popen([BUILD / "flawgated", "-c", self.config], stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.stop, daemon)
        for line in daemon.stderr:
            if "listening on" in line:
                return daemon
        raise AssertionError("flawgated ended")

    @staticmethod
    def stop(daemon):
        if daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate()

    def monitor(self, rows, columns):
        return Terminal(rows, columns, str(BUILD / "flawgate"), "monitor", "--port", str(self.port))

    def test_a_line_that_ends_and_comes_back(self):
        daemon = self.start()
        terminal = self.monitor(24, 80)
        terminal.wait("ready", lambda lines: "trigger_ready" in lines[1])
        run("flawgate", "line", self.config, "trigger=pulse")
        terminal.wait("a result", lambda lines: any("last result  part 1 " in line for line in lines))
        terminal.wait("the scene's distance", lambda lines: any("threshold" in l and ", scene " in l for l in lines))
        # All of it is there, from the first line to the last.
        self.assertTrue(terminal.screen.display[0].startswith(f"127.0.0.1 port {self.port}. q quits."))
        self.assertTrue(terminal.screen.display[1].startswith("state "))
        terminal.wait("the last line", lambda lines: any(line.startswith("drift ") for line in lines))
        self.stop(daemon)
        terminal.wait("the warning", lambda lines: lines[0].startswith("No answer for ") and "old" in lines[0])
        self.assertTrue(terminal.screen.buffer[0][0].reverse)
        terminal.wait("its reason", lambda lines: "Connection refused" in lines[1] and lines[2].startswith("state "))
        self.start()
        terminal.wait("the return", lambda lines: "answers again since " in lines[0] and "state " in lines[1])
        self.assertFalse(terminal.screen.buffer[0][0].reverse)
        terminal.wait("the new line", lambda lines: any("last result  none yet" in line for line in lines))
        self.assertEqual(terminal.leave(lambda: os.write(terminal.ours, b"q")), 0)

    def test_small_terminals(self):
        self.start()
        terminal = self.monitor(6, 30)
        terminal.wait("the state", lambda lines: lines[1].startswith("state ") and "more lines" in lines[5])
        self.assertNotIn(b"\n\n", terminal.bytes)
        terminal.resize(24, 80)
        terminal.wait("the whole", lambda lines: any(line.startswith("drift ") for line in lines))
        terminal.resize(3, 20)
        terminal.wait("less", lambda lines: lines[1].startswith("state ") and lines[2].startswith("("))
        terminal.resize(1, 20)
        terminal.wait("one line", lambda lines: lines[0].startswith("127.0.0.1"))
        self.assertEqual(terminal.leave(lambda: terminal.process.send_signal(signal.SIGTERM)), 0)

    def test_no_terminal(self):
        self.start()
        done = run("flawgate", "monitor", "--port", self.port)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("\x1b", done.stdout)
        self.assertRegex(done.stdout, r"(?m)^state .*\nerror        0")
        self.assertRegex(done.stdout, r"(?m)^triggers +\d+\n")

    def test_no_line(self):
        """A line that never answered is an error, on a terminal too: it is probably another address."""
        terminal = self.monitor(24, 80)
        terminal.wait("the reason", lambda lines: "is flawgated running?" in "".join(lines))
        self.assertEqual(terminal.process.wait(PATIENCE), 3)


if __name__ == "__main__":
    main()
