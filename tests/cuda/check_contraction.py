#!/usr/bin/env python3
"""That no product and sum of doubles in resize.cu are one instruction, which would round once where the CPU rounds twice.
PTX shows it: what says .rn there, ptxas leaves as it is.

usage: check_contraction.py NVCC   in the project's folder"""
import re
import subprocess
import sys


def main():
    ptx = subprocess.run([sys.argv[1], "-O3", "-std=c++20", "-I.", "-arch=compute_80", "-ptx", "-o", "/dev/stdout",
                          "kernels/cuda/operators/resize.cu"], stdout=subprocess.PIPE, text=True, check=True).stdout
    found = {name: len(re.findall(rf"\b{re.escape(name)}\b", ptx)) for name in ("mul.rn.f64", "mul.f64", "fma.rn.f64")}
    print(found)
    if not found["mul.rn.f64"] or found["mul.f64"] or found["fma.rn.f64"]:
        sys.exit("a product of doubles may be joined to a sum")


if __name__ == "__main__":
    main()
