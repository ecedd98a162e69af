#!/usr/bin/env python3
"""Registers, shared memory and occupancy of every kernel on every target, as ptxas reports them.

usage: resources.py [ARCHITECTURE...]   in the project's folder; all of the table below without arguments

Occupancy is that of the largest blocks that a kernel is launched with (its bound; 256 threads without one): resident threads
over the most that a multiprocessor holds, limited by registers (65,536, given out by 8 a thread), shared memory and the number
of blocks. The limits are those of the CUDA C++ Programming Guide's table of technical specifications."""
import re
import shutil
import subprocess
import sys
from pathlib import Path

THREADS, REGISTERS = 256, 65536  # of a block without a bound (FG_BLOCK), of a multiprocessor
LIMITS = {  # threads and blocks a multiprocessor, shared memory in KiB
    86: (1536, 16, 100), 87: (1536, 16, 164), 89: (1536, 24, 100), 90: (2048, 32, 228), 110: (1536, 24, 228),
    120: (1536, 24, 100),
}
ENTRY = re.compile(r"Compiling entry function '(\w+)'.*?(\d+) bytes spill stores.*?Used (\d+) registers(.*?)\n", re.S)
BOUND = re.compile(r"\.entry (\w+)\([^)]*\)\s*\.maxntid (\d+)")


def occupancy(arch, threads, registers, shared):
    most, blocks, kib = LIMITS[arch]
    by_registers = REGISTERS // (-(-registers // 8) * 8 * threads)
    by_shared = kib * 1024 // (shared + 1024)  # 1 KiB of each block is the system's
    return min(by_registers, by_shared, blocks, most // threads) * threads / most


def compile_to(*how):
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    return subprocess.run([nvcc, "-O3", "-std=c++20", "-I.", *how], capture_output=True, text=True, check=True)


def main():
    print(f"{'kernel':44} {'target':7} threads  registers  shared  spills  occupancy")
    for source in sorted(Path("kernels/cuda/operators").glob("*.cu")):
        bounds = dict(BOUND.findall(compile_to("-arch=compute_80", "-ptx", "-o", "-", source).stdout))
        for arch in [int(a) for a in sys.argv[1:]] or LIMITS:
            said = compile_to(f"-arch=sm_{arch}", "-Xptxas", "-v", "-cubin", "-o", "/dev/null", source)
            for mangled, spills, registers, rest in ENTRY.findall(said.stdout + said.stderr):
                name = subprocess.run(["c++filt", mangled], capture_output=True, text=True).stdout.split("(")[0]
                shared = int((re.findall(r"(\d+) bytes smem", rest) or [0])[0])
                label = f"{source.stem} {name.removeprefix('void ')}"
                threads = int(bounds.get(mangled, THREADS))
                print(f"{label:44} sm_{arch:<4} {threads:7} {int(registers):10} {shared:7} {int(spills):7}"
                      f"  {100 * occupancy(arch, threads, int(registers), shared):8.0f} %", flush=True)


if __name__ == "__main__":
    main()
