#!/usr/bin/env python3
"""What every program and every command of flawgate has in common: --help, -h, --version and exit statuses,
--json that is valid whatever a file is called, --quiet that is silent; and the daemon's log."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import BUILD, bad_part, free_port, good_part, lines, main, run

ODD = os.fsdecode(b"odd \xff\xc3\"\\\n.png")  # no UTF-8, and what JSON escapes
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ")
CONFIG = """bundles = {{ "a.fgb" }}
deadline_ms = 1000
camera {{ path = "good" memory_mib = 8 max_width = 64 max_height = 64 }}
board {{ path = "board" }}
state {{ path = "state" }}
line trigger {{ name = "T" }}
line reject {{ name = "R" }}
reject {{ delay_ms = 1200 }}
modbus {{ port = {port} }}
"""


def commands():
    """Of flawgate, as it lists them."""
    return re.findall(r"^  (\w+) +\S", run("flawgate", "--help").stdout, re.M)


def programs():
    """Every program and command, as the beginning of a command line; the teacher's only where it is built."""
    return [["flawgate-train"], ["flawgated"], *(["flawgate", c] for c in commands()),
            *(["flawgate-teach"] for _ in range((BUILD / "flawgate-teach").exists()))]


class Usage(unittest.TestCase):
    def test_help(self):
        self.assertGreaterEqual(len(commands()), 10)
        for program in programs():
            with self.subTest(program):
                done = run(*program, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.startswith("usage: " + " ".join(program)), done.stdout)
                for what in "\nExit status:\n  0 ", "\n  2 ", "\n  3 ", "--help", "--version":
                    self.assertIn(what, done.stdout)
                self.assertLessEqual(max(map(len, done.stdout.splitlines())), 100, done.stdout)
                self.assertEqual(run(*program, "-h").stdout, done.stdout)
                # It needs nothing else to be right.
                self.assertEqual(run(*program, "--what", "--help").returncode, 0)

    def test_version(self):
        for program in programs():
            with self.subTest(program):
                done = run(*program, "--version")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertRegex(done.stdout, r"^flawgate \d+\.\d+\n$")
        self.assertTrue(run("flawgate", "--version").stdout.startswith("flawgate "))

    def test_flawgate_itself(self):
        listed = run("flawgate", "--help")
        self.assertEqual((listed.returncode, listed.stderr), (0, ""))
        self.assertEqual(run("flawgate", "-h").stdout, listed.stdout)
        for wrong in [], ["what"]:
            done = run("flawgate", *wrong)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertIn(listed.stdout, done.stderr)

    def test_wrong_command_lines(self):
        for program in programs():
            for wrong in ["--what"], ["1", "2", "3", "4"]:
                if program == ["flawgate", "infer"] and wrong != ["--what"]:
                    continue  # it takes any number of pictures
                with self.subTest(program + wrong):
                    done = run(*program, *wrong)
                    self.assertEqual((done.returncode, done.stdout), (2, ""))
                    name = " ".join(program)
                    self.assertTrue(done.stderr.startswith(name + ": "), done.stderr)
                    self.assertIn("usage: " + name, done.stderr)
                    self.assertIn(name + " --help", done.stderr)

    def test_missing_input(self):
        for command in (["infer", "none.fgb", "a.png"], ["eval", "none.fgb", "none"],
                        ["calibrate", "none.fgb", "none"], ["bench", "none.fgb"], ["check", "none.conf"],
                        ["bundle", "show", "none.fgb"], ["bundle", "verify", "none.fgb"],
                        ["bundle", "export", "none.fgb", "a.safetensors"], ["line", "none.conf"], ["log", "none.conf"],
                        ["calibrate", "none.fgb", "--from-line", "none"]):
            with self.subTest(command):
                done = run("flawgate", *command)
                self.assertEqual(done.returncode, 3)
                self.assertIn("none", done.stderr)
        self.assertEqual(run("flawgated", "-c", "none.conf").returncode, 3)


class Scripts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="flawgate-"))
        (cls.folder / "good").mkdir()
        for i in range(8):
            good_part(cls.folder / "good" / f"{i:03}.png", i)
        cls.category = cls.folder / os.fsdecode(b"category \xfe")
        shutil.copytree(cls.folder / "good", cls.category / "test/good")
        (cls.category / "test" / os.fsdecode(b"dent \xff")).mkdir()
        bad_part(cls.category / "test" / os.fsdecode(b"dent \xff") / ODD, 3)
        cls.bundle = cls.folder / os.fsdecode(b"bundle \xff.fgb")
        cls.trained = run("flawgate-train", cls.folder / "good", "--out", cls.bundle, "--teacher", "random",
                          "--backbone", "resnet18", "--size", "64", "--batch", "8", "--epochs", "1", "--recipe", "paper",
                          "--json", "--quiet")
        assert cls.trained.returncode == 0, cls.trained.stderr
        shutil.copy(cls.bundle, cls.folder / "a.fgb")
        cls.config = cls.folder / os.fsdecode(b"line \xff.conf")
        cls.config.write_text(CONFIG.format(port=0))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def ask(self, *arguments, status=0):
        """Runs a command with --json and --quiet: its objects, and that standard error is empty."""
        done = run("flawgate", *arguments, "--json", "--quiet")
        self.assertEqual((done.returncode, done.stderr), (status, ""))
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_training(self):
        self.assertEqual(self.trained.stderr, "")
        objects = [json.loads(line) for line in self.trained.stdout.splitlines()]
        self.assertEqual([list(o)[0] for o in objects], ["epoch", "bundle"])

    def test_infer(self):
        odd = self.category / "test" / os.fsdecode(b"dent \xff") / ODD
        judged, = self.ask("infer", self.bundle, odd, status=1)
        self.assertTrue(judged["file"].endswith('odd \ufffd\ufffd"\\\n.png'), judged["file"])
        plain = run("flawgate", "infer", self.bundle, self.folder / "good/000.png", "--quiet")
        self.assertEqual(plain.stderr, "")

    def test_eval(self):
        figures, = self.ask("eval", self.bundle, self.category)
        self.assertEqual((figures["images"], list(figures["defects"])), (9, ["dent \ufffd"]))
        table = [BUILD / "flawgate", "eval", self.bundle, self.category]
        self.assertEqual(subprocess.run([*table, "--quiet"], capture_output=True, check=True).stderr, b"")
        self.assertTrue(subprocess.run(table, capture_output=True, check=True).stderr.startswith(b"device: "))

    def test_calibrate(self):
        copy = self.folder / os.fsdecode(b"copy \xff.fgb")
        shutil.copy(self.bundle, copy)
        more = self.folder / os.fsdecode(b"more \xff")
        shutil.copytree(self.folder / "good", more)
        for i in range(5):
            good_part(more / f"new{i}.png", 50 + i)
        (more / "text.png").write_text("not a picture")
        done = subprocess.run([BUILD / "flawgate", "calibrate", copy, more, "--json", "--quiet", "--force",
                               "--defective", self.category / "test" / os.fsdecode(b"dent \xff")], capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        found = json.loads(done.stdout.decode())
        self.assertEqual((found["pictures"], found["known"], found["skipped"]), (5, 8, 1))
        missed = [row["missed"] for row in found["table"]]
        self.assertEqual(missed, sorted(missed, reverse=True))
        self.assertTrue(all(m <= found["defective"] for m in missed) and found["defective"] > 0, found)
        self.assertGreater(found["threshold"], 0)
        self.assertTrue(found["file"].endswith("copy \ufffd.fgb"))
        shown, = self.ask("bundle", "show", copy)
        self.assertEqual(shown["calibration"]["threshold"], found["threshold"])

    def test_bundle(self):
        shown, = self.ask("bundle", "show", self.bundle)
        self.assertTrue(shown["file"].endswith("bundle \ufffd.fgb"))
        text = subprocess.run([BUILD / "flawgate", "bundle", "show", self.bundle], capture_output=True).stdout
        self.assertIn(b'", checksum ' + shown["checksum"].encode() + b"\n", text)
        facts, = self.ask("bundle", "verify", self.bundle)
        self.assertTrue(facts["intact"])
        cut = self.folder / os.fsdecode(b"cut \xff.fgb")
        cut.write_bytes(self.bundle.read_bytes()[:100])
        done = subprocess.run([BUILD / "flawgate", "bundle", "verify", cut, "--json"], capture_output=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("\ufffd", json.loads(done.stdout.decode())["why"])
        out = self.folder / os.fsdecode(b"out \xff.safetensors")
        written, = self.ask("bundle", "export", self.bundle, out)
        self.assertTrue(written["written"].endswith("out \ufffd.safetensors") and out.exists())

    def test_check(self):
        wrong, = self.ask("check", self.config, status=1)
        self.assertIn("modbus.port", "".join(wrong["wrong"]))
        self.assertIn("\ufffd", "".join(wrong["wrong"]))
        self.assertIsNone(wrong["memory"])
        right = self.folder / "right.conf"
        right.write_text(CONFIG.format(port=free_port()))
        found, = self.ask("check", right)
        self.assertEqual(found["wrong"], [])
        plain = run("flawgate", "check", right)
        arena = found["memory"]["fixed"] + found["memory"]["banks"] * found["memory"]["bank"]
        self.assertRegex(plain.stdout, rf"\n  arena +{arena} bytes")

    def test_version(self):
        has, = self.ask("version")
        self.assertEqual(run("flawgate", "version").stdout.splitlines()[0], "flawgate " + has["version"])
        self.assertIn(has["cpu"]["version"], run("flawgate", "version").stdout.splitlines()[1])

    def test_instructions_that_are_not_there(self):
        """The set of kernels that the environment names is taken, or refused."""
        environment = dict(os.environ, FLAWGATE_CPU="abacus")
        done = run("flawgate", "version", env=environment)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("FLAWGATE_CPU=abacus: this processor does not have it; it has ", done.stderr)
        for name in done.stderr.split("it has ")[1].split("\n")[0].split(", "):
            done = run("flawgate", "version", "--json", env=dict(os.environ, FLAWGATE_CPU=name))
            self.assertRegex(json.loads(done.stdout)["cpu"]["version"], rf"^{name}( vnni| dotprod)? kernels$")

    def test_infer_overwrites_no_input(self):
        bundle, picture, link = (self.folder / name for name in ("a.fgb", "kept.png", "link.png"))
        shutil.copy(self.folder / "good" / "000.png", picture)
        link.symlink_to(picture)
        before = picture.read_bytes()
        for option, output in (("--overlay", picture), ("--overlay", link), ("--map", bundle)):
            done = run("flawgate", "infer", bundle, picture, option, output)
            self.assertEqual(done.returncode, 2)
            self.assertIn("would overwrite", done.stderr)
        self.assertEqual(picture.read_bytes(), before)

    def test_check_names_camera_and_view(self):
        """What is wrong with one of several is told of that one, and no driver is asked that is not there."""
        config = self.folder / "two.conf"
        config.write_text('camera left { path = "nope" }\n'
                          'camera right { driver = "nonsense" path = "good" }\n'
                          'view a { camera = left bundles = { "none.fgb" } }\n'
                          'view b { camera = right bundles = { "a.fgb" } }\n'
                          'board { driver = "nonsense" }\n'
                          f'modbus {{ port = {free_port()} }}\n')
        done = run("flawgate", "check", config)
        self.assertEqual(done.returncode, 1)
        for said in ("camera right.driver", "board.driver", "view a, slot 0: ", "camera left: camera.path"):
            self.assertEqual(len([line for line in done.stderr.splitlines() if said in line]), 1, said)
        self.assertIn("\n4 things are wrong\n", done.stderr)

    def test_progress(self):
        """On a terminal a line is rewritten and taken away; a script sees nothing of it."""
        pictures = [self.folder / "good" / f"{i:03}.png" for i in range(8)]
        for quiet in [], ["--quiet"]:
            ours, theirs = os.openpty()
            with subprocess.Popen([BUILD / "flawgate", "infer", self.bundle, *pictures, "--json", *quiet],
                                  stderr=theirs, stdout=subprocess.PIPE) as infer:
                os.close(theirs)
                said = b""
                try:
                    while block := os.read(ours, 4096):
                        said += block
                except OSError:
                    pass  # the program has ended
                verdicts = infer.stdout.read().decode()
            os.close(ours)
            self.assertEqual(len(lines(verdicts)), 8)
            if quiet:
                self.assertEqual(said, b"")
            else:
                self.assertTrue(said.startswith(b"\r\x1b[Kjudging picture 1 of 8, "), said)
                self.assertTrue(said.endswith(b"\r\x1b[K"), said)
                self.assertNotIn(b"\n", said)

    def test_daemon(self):
        """Its log has the plan, and the time in every line; the ios of its board are there as JSON."""
        served = self.folder / "served.conf"
        served.write_text(CONFIG.format(port=free_port()))
        environment = {k: v for k, v in os.environ.items() if k != "JOURNAL_STREAM"}
        with subprocess.Popen([BUILD / "flawgated", "-c", served], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, env=environment) as daemon:
            log = []
            for line in daemon.stderr:
                log.append(line)
                if "listening on" in line:
                    break
            levels, = self.ask("line", served)
            level, = self.ask("line", served, "reject")
            driven, = self.ask("line", served, "trigger=1")
            daemon.send_signal(signal.SIGTERM)
            out, rest = daemon.communicate()
        self.assertEqual((daemon.returncode, out), (0, ""))
        self.assertEqual(levels, {"trigger": 0, "reject": 0})
        self.assertEqual(level, {"reject": 0})
        self.assertEqual(driven, {"trigger": 1})
        log += rest.splitlines()
        self.assertEqual([line for line in log if not TIME.match(line)], [])
        self.assertTrue(any("memory plan" in line for line in log))
        self.assertTrue(any(re.search(r"in all, at most +\d+ bytes", line) for line in log))

    def test_daemon_says_what_is_wrong(self):
        done = subprocess.run([BUILD / "flawgated", "-c", self.config], capture_output=True)
        self.assertEqual((done.returncode, done.stdout), (3, b""))
        said, *_ = done.stderr.decode(errors="replace").splitlines()
        self.assertTrue(TIME.match(said) and "modbus.port" in said, said)


if __name__ == "__main__":
    main()
