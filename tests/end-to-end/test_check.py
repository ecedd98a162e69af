#!/usr/bin/env python3
"""flawgate check against the system that is there: it says ok where flawgated starts, and what flawgated says where it
does not; a running flawgated is not disturbed."""
import json
import os
import pty
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import BUILD, free_port, main, quick_bundle, run

CONFIG = """bundles = {{ "a.fgb" }}
deadline_ms = 1000
camera {{ path = "good" memory_mib = 8 max_width = 64 max_height = 64 }}
board {{ path = "{board}" }}
line trigger {{ name = "T" }}
line reject {{ name = "R" }}
reject {{ delay_ms = 1200 }}
state {{ path = "{state}" }}
modbus {{ bind = "{bind}" port = {port} {more} }}
"""
PRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="flawgate-"))
        quick_bundle(cls.folder)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def configure(self, name="line.conf", board="board", bind="127.0.0.1", port=None, more="", state="state", rest=""):
        path = self.folder / name
        text = CONFIG.format(board=board, bind=bind, port=port or free_port(), more=more, state=state)
        path.write_text(text + rest)
        return path

    def check(self, config, status, *before):
        """What check says as JSON; as text it ends with the same status, and with ok where that is 0."""
        command = [*before, str(BUILD / "flawgate"), "check", str(config)]
        done = subprocess.run([*command, "--json"], capture_output=True, text=True)
        text = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual((done.returncode, text.returncode), (status, status), done.stdout + text.stderr)
        self.assertEqual(text.stdout.endswith("\nok\n"), status == 0)
        said = json.loads(done.stdout)
        for line in said["wrong"]:
            self.assertIn(line.split(" (process")[0], text.stderr)
        return said, text.stdout

    def both_refuse(self, config, what, *before):
        """check has one line, and the daemon ends with 3 and the same words."""
        said, _ = self.check(config, 1, *before)
        self.assertEqual(len(said["wrong"]), 1, said["wrong"])
        self.assertIn(what, said["wrong"][0])
        daemon = subprocess.run([*before, str(BUILD / "flawgated"), "-c", str(config)], capture_output=True, text=True)
        self.assertEqual(daemon.returncode, 3, daemon.stderr)
        self.assertIn(said["wrong"][0].split("; it is ")[0], daemon.stderr)
        return said["wrong"][0]

    def test_what_is_right(self):
        config = self.configure(board="asked", port=(port := free_port()))
        said, text = self.check(config, 0)
        self.assertEqual(said["ports"], [{"address": "127.0.0.1", "port": port, "protocol": "Modbus TCP", "writers": []}])
        self.assertIn(f"  127.0.0.1 port {port}: Modbus TCP, reached from this machine only; everyone", text)
        self.assertFalse((self.folder / "asked").exists())  # it was only asked
        _, text = self.check(self.configure(bind="::", more='writers = { "10.0.0.5", "::1" }'), 0)
        self.assertIn("reached from every network of this machine; 10.0.0.5, ::1 may write, others only read", text)

    def test_places_of_the_board(self):
        self.both_refuse(self.configure(board="none/deeper/board"), "is not there, nor the one above it")
        (self.folder / "file").write_text("")
        self.both_refuse(self.configure(board="file"), "file is a file, not a folder")

    def test_places_of_the_state(self):
        self.both_refuse(self.configure(state="none/deeper/state"), "state.path: the folder")
        self.both_refuse(self.configure(state="a.fgb"), "a.fgb is a file, not a folder")

    def test_serial_ports_and_watchdogs(self):
        serial = 'modbus_rtu {{ device = "{}" baud = 9600 }}\n'
        self.both_refuse(self.configure(rest=serial.format("/dev/none")), "is the adapter plugged in?")
        self.both_refuse(self.configure(rest=serial.format(self.folder / "a.fgb")), "is no serial port")
        self.both_refuse(self.configure(rest='watchdog { device = "none" }\n'), "watchdog: cannot open")
        master, slave = pty.openpty()
        said, text = self.check(self.configure(rest=serial.format(name := os.ttyname(slave))), 0)
        self.assertEqual(said["ports"][1], {"device": name, "unit": 1, "baud": 9600, "protocol": "Modbus RTU"})
        self.assertIn(f"  {name}: Modbus RTU, unit 1, 9600 baud; its master may write", text)
        os.close(master)
        os.close(slave)

    def test_addresses_and_ports(self):
        self.both_refuse(self.configure(bind="203.0.113.7"), "is this an address of this machine?")
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            config = self.configure(port=other.getsockname()[1])
            said = self.both_refuse(config, "another program has it")
            self.assertRegex(said, rf"; it is python\S* \(process {os.getpid()}\)$")
        allowed = int(PRIVILEGED.read_text())
        if allowed > 1:
            drop = ["setpriv", "--bounding-set", "-net_bind_service"] if os.geteuid() == 0 else []
            self.both_refuse(self.configure(port=allowed - 1), "ports below 1024 need CAP_NET_BIND_SERVICE", *drop)

    def test_all_is_told_at_once(self):
        config = self.configure(board="none/deeper/board", bind="203.0.113.7", more='unit = 300')
        said, _ = self.check(config, 1)
        self.assertEqual(len(said["wrong"]), 3, said["wrong"])

    @unittest.skipIf(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") > 127 << 30,
                     "this machine has more memory than 8 cameras take")
    def test_more_memory_than_there_is(self):
        config = self.configure()
        text = config.read_text().split("\n", 3)
        many = "".join(f'camera c{i} {{ path = "good" memory_mib = 16384 }}\n'
                       f'view v{i} {{ camera = c{i} bundles = {{ "a.fgb" }} }}\n' for i in range(8))
        config.write_text(f"{text[1]}\n{many}{text[3]}")
        self.both_refuse(config, "but this machine has")

    def test_a_text_that_does_not_end(self):
        """What follows is not known, so nothing is said of it."""
        config = self.configure()
        config.write_text("/* all of it\n" + config.read_text())
        said, text = self.check(config, 1)
        self.assertEqual(said["wrong"], [f"{config}:1: the comment that begins here does not end: */ is missing"])
        self.assertEqual((said["ports"], "port" in text), ([], False))
        self.both_refuse(config, "does not end")

    def test_a_running_daemon(self):
        config = self.configure(board="running")
        with subprocess.Popen([BUILD / "flawgated", "-c", config], stderr=subprocess.PIPE, text=True) as daemon:
            for line in daemon.stderr:
                if "ready" in line or "listening on" in line:
                    break
            board = (self.folder / "running" / "lines").read_bytes()
            said, text = self.check(config, 0)
            self.assertEqual(said["wrong"], [])
            mine = f"(process {daemon.pid})"
            self.assertIn(f"board: flawgated runs with it now {mine}", said["notes"])
            self.assertTrue(any(n.startswith("Modbus: the flawgated of this line") and mine in n for n in said["notes"]))
            self.assertIn("board: flawgated runs with it now", text)
            # Another line may not have the same port.
            port = json.loads(run("flawgate", "check", config, "--json").stdout)["ports"][0]["port"]
            other, _ = self.check(self.configure(name="other.conf", board="other", port=port), 1)
            self.assertIn(f"it is the flawgated of another line, flawgated {mine}", other["wrong"][0])
            self.assertEqual(run("flawgate", "line", config).returncode, 0)
            self.assertEqual(self.levels(board), self.levels((self.folder / "running" / "lines").read_bytes()))
            daemon.send_signal(signal.SIGTERM)
            daemon.communicate()
        self.assertEqual(daemon.returncode, 0)

    @staticmethod
    def levels(lines):
        """Ios, their levels, and how often an output has changed: all but the ring of changes behind them."""
        return lines[:632]


if __name__ == "__main__":
    main()
