#!/usr/bin/env python3
"""Which GPUs the compiled kernels are for, from the entry headers of every fat binary (CUDA's cuobjdump need not be there).

usage: check_targets.py LIBRARY ARCHITECTURE...   as in CMake: 87-real, 120-virtual"""
import struct
import sys

MAGIC = 0xBA55ED50
PTX, ELF = 1, 2


def entries(data):
    """(kind, architecture) of each entry, fat binary by fat binary."""
    at = data.find(struct.pack("<I", MAGIC))
    while at >= 0:
        header, size = struct.unpack_from("<HQ", data, at + 6)
        found, entry, end = set(), at + header, at + header + size
        while entry < end:
            kind, _, entry_header, entry_size = struct.unpack_from("<HHIQ", data, entry)
            found.add((kind, struct.unpack_from("<I", data, entry + 28)[0]))
            entry += entry_header + entry_size
        yield found
        at = data.find(struct.pack("<I", MAGIC), end)


def main():
    wanted = {(PTX if a.endswith("virtual") else ELF, int(a.split("-")[0])) for a in sys.argv[2:]}
    binaries = list(entries(open(sys.argv[1], "rb").read()))
    if not binaries:
        sys.exit("there is no fat binary")
    for found in binaries:
        if found != wanted:
            sys.exit(f"a fat binary holds {sorted(found)}, not {sorted(wanted)}")
    print(f"{len(binaries)} fat binaries, each for " +
          ", ".join(f"{'PTX of ' if kind == PTX else 'sm_'}{arch}" for kind, arch in sorted(wanted, reverse=True)))


if __name__ == "__main__":
    main()
