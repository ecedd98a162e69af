"""What the programs say of themselves: their --help, which one function prints from the option tables, as data."""
import re
import subprocess
from pathlib import Path


class Option:
    """One option: its name with dashes, how help calls its value ("" for none, "[=N]" where it may be left out), and
    what it is for."""

    def __init__(self, name, value, text):
        self.name, self.value, self.text = name, value, text

    def words(self):
        """The words that the value may be; none where it is something else."""
        found = re.search(r"(?:^|; )([\w-]+(?:, [\w-]+)*) or ([\w-]+)(?: \(default [^)]*\))?$", self.text)
        return [*found[1].split(", "), found[2]] if found and self.value[:1] not in "[" else []


class Help:
    """What one program, or one command of flawgate, says of itself."""

    def __init__(self, name, text):
        self.name = name
        call, rest = text.split("\n", 1)
        self.takes = call.removeprefix("usage: " + name).strip()
        rest, _, statuses = rest.partition("\n\nExit status:\n")
        about, _, options = rest.rpartition("\n\n")
        self.about = about.splitlines()
        self.options = [Option(*row) for row in _rows(options)]
        self.statuses = [line.split(None, 1) for line in statuses.splitlines()]


def _rows(text):
    """Name, value and sentence of each option; a line that begins further right goes on with the one before."""
    rows = []
    for line in text.splitlines():
        found = re.match(r"  (--?[\w-]+)((?: |\[=)\S+)?  +(\S.*)$", line)
        if found:
            rows.append([found[1], (found[2] or "").strip(), found[3]])
        else:
            rows[-1][2] += " " + line.strip()
    return rows


def ask(program, *command):
    """The help of a built program, or of its command."""
    done = subprocess.run([program, *command, "--help"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def read_all(folder):
    """The commands of flawgate with what each does, and the help of flawgated, flawgate-train and each command."""
    flawgate = str(Path(folder) / "flawgate")
    commands = re.findall(r"^  (\w+) +(\S.*)$", ask(flawgate), re.M)
    helps = [Help(name, ask(str(Path(folder) / name))) for name in ("flawgated", "flawgate-train")]
    return commands, helps + [Help(f"flawgate {name}", ask(flawgate, name)) for name, _ in commands]
