#!/usr/bin/env python3
"""What a person installs: cmake --install into a folder, and each installed file read by the program that it is for."""
import gzip
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from common import BUILD, main, run

PROGRAMS = "flawgated", "flawgate", "flawgate-train"


def said(*command, **options):
    """Runs a program of the system to its end: its status and all that it says."""
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=300, **options)
    return done.returncode, done.stdout


def commands():
    return re.findall(r"^  (\w+) +\S", run("flawgate", "--help").stdout, re.M)


def needed(file):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", said("readelf", "-d", file)[1])


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix="flawgate-"))
        status, text = said("cmake", "--install", BUILD, "--prefix", "/usr", env={**os.environ, "DESTDIR": str(cls.root)})
        assert status == 0, text

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    def installed(self):
        return {str(p.relative_to(self.root)) for p in self.root.rglob("*") if not p.is_dir()}

    def test_files(self):
        """All that the package must have, and that nothing lies outside of these folders."""
        pages = {f"usr/share/man/man1/flawgate-{c}.1.gz" for c in ["train", *commands()]}
        wanted = {"etc/flawgate/example.conf", "usr/lib/systemd/system/flawgated.service",
                  "usr/lib/udev/rules.d/60-flawgate.rules", "usr/lib/sysusers.d/flawgate.conf",
                  "usr/lib/tmpfiles.d/flawgate.conf", "usr/share/man/man8/flawgated.8.gz", "usr/share/man/man1/flawgate.1.gz",
                  "usr/share/flawgate/flawgate.cdx.json", "usr/share/flawgate/teacher.safetensors",
                  "usr/share/doc/flawgate/copyright", "usr/share/doc/flawgate/README.md"}
        wanted |= pages | {f"usr/bin/{p}" for p in PROGRAMS}
        wanted |= {f"usr/share/bash-completion/completions/{p}" for p in PROGRAMS}
        self.assertEqual(wanted - self.installed(), set())
        places = "usr/bin/", "usr/lib/", "usr/share/", "etc/flawgate/"
        self.assertEqual([f for f in self.installed() if not f.startswith(places)], [])

    def test_programs_run_where_they_are_installed(self):
        """And find what comes with them: not the build's files, which another machine does not have."""
        flawgate = self.root / "usr/bin/flawgate"
        status, text = said(flawgate, "version", "--sbom")
        self.assertEqual((status, text), (0, (self.root / "usr/share/flawgate/flawgate.cdx.json").read_text()))
        for name in PROGRAMS:
            self.assertEqual(said(self.root / "usr/bin" / name, "--version")[0], 0)

    def test_a_program_alone_says_what_it_misses(self):
        alone = self.root / "alone"
        alone.mkdir()
        self.addCleanup(shutil.rmtree, alone)
        shutil.copy(BUILD / "flawgate", alone)
        status, text = said(alone / "flawgate", "version", "--sbom")
        self.assertEqual(status, 3)
        self.assertIn(f"{alone}/flawgate.cdx.json: not there", text)
        self.assertEqual(said(alone / "flawgate", "version")[0], 0)

    def test_links_of_the_manual_lead_somewhere(self):
        documents = self.root / "usr/share/doc/flawgate"
        for page in documents.rglob("*.md"):
            for link in re.findall(r"\]\(([^)#:]+)[^)]*\)", page.read_text()):
                self.assertTrue((page.parent / link).exists(), f"{page}: {link}")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_unit(self):
        unit = self.root / "usr/lib/systemd/system/flawgated.service"
        self.assertNotRegex(unit.read_text(), r"@\w+@")  # every place is filled in
        # Programs and pages are named by where they will be; here they are somewhere else.
        text = unit.read_text().replace("/usr/bin/flawgate", f"{self.root}/usr/bin/flawgate")
        here = self.root / "flawgated.service"
        here.write_text(text)
        self.addCleanup(here.unlink)
        self.assertEqual(said("systemd-analyze", "verify", "--man=no", here), (0, ""))
        status, text = said("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", here)
        self.assertEqual(status, 0, text)

    def test_manual_pages(self):
        """man shows each without a warning, and its parts are there."""
        for page in sorted(self.root.glob("usr/share/man/man*/*")):
            with self.subTest(page.name):
                text = gzip.decompress(page.read_bytes()).decode()
                for heading in "NAME", "SYNOPSIS", "SEE ALSO":
                    self.assertIn(f".SH {heading}\n", text)
                if shutil.which("mandoc"):
                    self.assertEqual(said("mandoc", "-Tlint", "-W", "warning", page), (0, ""))
                if shutil.which("man"):
                    shown = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", page], capture_output=True, text=True)
                    self.assertEqual((shown.returncode, shown.stderr), (0, ""))

    def test_manual_page_has_every_option(self):
        for program in ["flawgate-train"], *(["flawgate", c] for c in commands()):
            page = self.root / "usr/share/man/man1" / ("-".join(program) + ".1.gz")
            text = gzip.decompress(page.read_bytes()).decode().replace("\\-", "-")
            options = re.findall(r"^  (--?[\w-]+)", run(*program, "--help").stdout, re.M)
            self.assertGreater(len(options), 1)
            for option in options:
                self.assertIn(f"\\fB{option}\\fR", text)

    def complete(self, *words):
        """What bash offers for the last of the words."""
        script = self.root / "usr/share/bash-completion/completions" / words[0]
        line = " ".join(f"'{w}'" for w in words)
        status, text = said("bash", "-euc", f"source {script}; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1};"
                            f"_flawgate {words[0]} '{words[-1]}' '{words[-2]}'; printf '%s\\n' ${{COMPREPLY[@]+\"${{COMPREPLY[@]}}\"}}")
        self.assertEqual(status, 0, text)
        return text.split()

    def test_completion(self):
        self.assertEqual(self.complete("flawgate", "")[:len(commands())], commands())
        self.assertEqual(self.complete("flawgate", "mon"), ["monitor"])
        self.assertEqual(self.complete("flawgate", "bundle", "ver"), ["verify"])
        self.assertEqual(self.complete("flawgate", "infer", "a.fgb", "a.png", "--over"), ["--overlay"])
        self.assertEqual(self.complete("flawgate", "infer", "--device", ""), ["auto", "cuda", "cpu"])
        self.assertEqual(self.complete("flawgate-train", "--precision", "i"), ["int8"])
        self.assertIn("-c", self.complete("flawgated", "-"))
        self.assertEqual(self.complete("flawgate", "infer", "a"), [])  # readline's own: names of files

    def test_components_name_every_library(self):
        bom = json.loads(run("flawgate", "version", "--sbom").stdout)
        self.assertEqual((bom["bomFormat"], bom["specVersion"]), ("CycloneDX", "1.5"))
        components = {c["bom-ref"]: c for c in bom["components"]}
        self.assertEqual(len(components), len(bom["components"]))
        requires = {d["ref"]: d["dependsOn"] for d in bom["dependencies"]}
        for program in PROGRAMS:
            self.assertEqual(components[program]["type"], "application")
            libraries = needed(BUILD / program)
            self.assertIn("libc.so.6", libraries)
            for library in libraries:
                self.assertEqual(components[library]["type"], "library")
                self.assertIn(library, requires[program])
        # What is named in "dependencies" is there.
        for ref, others in requires.items():
            self.assertLessEqual({ref, *others}, {*components, "flawgate-package"})
        if shutil.which("dpkg-query"):
            package, version = subprocess.run(
                ["dpkg-query", "-W", "-f", "${Package} ${Version}", "libmodbus5"], capture_output=True, text=True).stdout.split()
            modbus = components["libmodbus.so.5"]
            self.assertEqual(modbus["version"], version)
            self.assertTrue(modbus["purl"].startswith(f"pkg:deb/debian/{package}@") or "ubuntu" in modbus["purl"], modbus)

    @unittest.skipIf("san" in BUILD.name, "a sanitizer has checks of its own")
    def test_programs_are_hardened(self):
        for program in PROGRAMS:
            file = BUILD / program
            self.assertRegex(said("readelf", "-h", file)[1], r"Type: +DYN")  # position independent
            dynamic = said("readelf", "-d", file)[1]
            self.assertRegex(dynamic, r"FLAGS.*(BIND_NOW|NOW)")
            self.assertRegex(dynamic, r"FLAGS_1.*PIE")
            self.assertIn("GNU_RELRO", said("readelf", "-lW", file)[1])
            symbols = said("readelf", "-W", "--dyn-syms", file)[1]
            self.assertIn("__stack_chk_fail", symbols)
            self.assertIn("__snprintf_chk", symbols)

    def test_users_and_devices(self):
        user = (self.root / "usr/lib/sysusers.d/flawgate.conf").read_text()
        service = (self.root / "usr/lib/systemd/system/flawgated.service").read_text()
        self.assertIn("u flawgate ", user)
        self.assertIn("\nUser=flawgate\n", service)
        if shutil.which("systemd-sysusers"):
            empty = self.root / "empty"
            (empty / "etc").mkdir(parents=True)
            self.addCleanup(shutil.rmtree, empty)
            status, text = said("systemd-sysusers", f"--root={empty}", self.root / "usr/lib/sysusers.d/flawgate.conf")
            self.assertEqual(status, 0, text)
            self.assertIn("flawgate:", (empty / "etc/passwd").read_text())
            self.assertRegex((empty / "etc/group").read_text(), r"(?m)^dialout:.*:flawgate$")
        rules = self.root / "usr/lib/udev/rules.d/60-flawgate.rules"
        if said("udevadm", "verify", "--help")[0] == 0 if shutil.which("udevadm") else False:
            self.assertEqual(said("udevadm", "verify", rules)[0], 0)


if __name__ == "__main__":
    main()
