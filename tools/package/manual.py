#!/usr/bin/env python3
"""Writes the manual pages from what the programs say of themselves: manual.py BUILD VERSION OUT

OUT gets flawgated.8, flawgate.1, flawgate-train.1 and flawgate-COMMAND.1 for each command."""
import os
import sys
import time
from pathlib import Path

from help import read_all

NAMES = {"flawgated": "serves a production line that inspects its parts",
         "flawgate-train": "makes a bundle from pictures of good parts",
         "flawgate": "what is done with bundles, configurations and running lines"}
FILES = {"/etc/flawgate/line.conf": "the configuration that the service reads; example.conf beside it explains every key",
         "/var/lib/flawgate": "what the service keeps; a place for bundles and pictures",
         "/usr/share/doc/flawgate": "the manual: wiring, the Modbus map, what to do about each fault"}


def page_name(name):
    """flawgate infer has the page flawgate-infer."""
    return name.replace(" ", "-")


def section(name):
    return "8" if name == "flawgated" else "1"


def plain(text):
    """Text in which nothing is a request or an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text[:1] in ".'" else text


def titled(name, does, version):
    page = page_name(name)
    date = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time()))))
    return [f".TH {page.upper()} {section(name)} {date} \"flawgate {version}\" \"Flawgate\"",
            ".SH NAME", f"{plain(page)} \\- {plain(does)}", ".SH SYNOPSIS"]


def tagged(tag, text):
    return [".TP", tag, plain(text)]


def see_also(names):
    text = [".SH SEE ALSO"]
    pages = [f".BR {plain(page_name(n))} ({section(n)})" for n in names]
    return text + [p + "," for p in pages[:-1]] + pages[-1:]


def files():
    text = [".SH FILES"]
    for path, what in FILES.items():
        text += tagged(f".I {path}", what)
    return text


def page(one, does, version):
    """The page of a program or a command."""
    text = titled(one.name, does, version)
    text += [f".B {plain(one.name)}", plain(one.takes), ".SH DESCRIPTION"]
    if any("  " in line for line in one.about):  # a table, whose columns must stay
        text += [".nf", *map(plain, one.about), ".fi"]
    else:
        text += [plain(line) for line in one.about]
    text += [".SH OPTIONS"]
    for option in one.options:
        value = f" \\fI{plain(option.value)}\\fR" if option.value else ""
        text += tagged(f"\\fB{plain(option.name)}\\fR{value}", option.text)
    text += [".SH EXIT STATUS"]
    for status, what in one.statuses:
        text += tagged(status, what)
    text += files() if one.name == "flawgated" else []
    return text + see_also([n for n in NAMES if n != one.name])


def overview(commands, version):
    """The page of flawgate itself."""
    text = titled("flawgate", NAMES["flawgate"], version)
    text += [".B flawgate", plain("COMMAND ..."), ".SH COMMANDS"]
    for name, does in commands:
        text += tagged(f".BR {plain(page_name('flawgate ' + name))} (1)", does)
    text += files()
    return text + see_also([n for n in NAMES if n != "flawgate"])


def write(folder, version, out):
    commands, helps = read_all(folder)
    does = dict(NAMES, **{f"flawgate {name}": text for name, text in commands})
    pages = {("flawgate", "1"): overview(commands, version)}
    for one in helps:
        pages[page_name(one.name), section(one.name)] = page(one, does[one.name], version)
    Path(out).mkdir(exist_ok=True)
    for (name, number), text in pages.items():
        (Path(out) / f"{name}.{number}").write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    write(*sys.argv[1:])
