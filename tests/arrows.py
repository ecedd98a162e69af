"""Checks who includes whom: prints every include that runs against the arrows of the folders, and ends with 1."""
import re
import subprocess
import sys

# Inside runtime/ a folder includes only those above it.
RUNTIME = ["base", "network", "weights", "image", "bundle", "engine", "line", "modbus", "store", "daemon"]
# The table of the Modbus map is the one thing that the line takes from below.
SHARED = "runtime/modbus/registers.h"
ALLOWED = {
    "kernels": {"kernels"},
    "board": {"board"},
    "config": {"config"},
    "runtime": {"runtime", "kernels", "board", "config"},
    "trainer": {"trainer", "runtime", "kernels"},
    "tools": {"tools", "trainer", "runtime", "kernels", "board", "config"},
}


def allowed(source, target):
    """Whether a file may include a header, both by their paths."""
    here, there = source.split("/"), target.split("/")
    if target.startswith("runtime/base/"):
        return True
    if source.startswith("runtime/base/") or there[0] not in ALLOWED[here[0]]:
        return False
    if there[0] == "runtime" and there[1] == "daemon":
        return here[:2] == there[:2]
    if here[0] == there[0] == "runtime":
        return RUNTIME.index(there[1]) <= RUNTIME.index(here[1]) or (here[1] == "line" and target == SHARED)
    return True


files = subprocess.run(["git", "ls-files", "-z", *ALLOWED], stdout=subprocess.PIPE, text=True, check=True).stdout
wrong = 0
for source in files.split("\0"):
    if not re.search(r"\.(c|h|cu|cuh)$", source):
        continue
    with open(source, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            target = re.match(r'#include "([^"]+)"', line)
            if target and not allowed(source, target[1]):
                print(f"{source}:{number}: may not include {target[1]}")
                wrong += 1
sys.exit(wrong > 0)
