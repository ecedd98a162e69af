#!/usr/bin/env bash
# Installs what building needs, builds, and runs the demo: pictures, training, evaluation, a simulated line.
# Usage: tools/demo.sh [DIR]   DIR keeps everything that the demo makes (build/demo by default).
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh
cmake --preset cpu >/dev/null
cmake --build build/cpu | tail -n 1
exec build/cpu/flawgate demo "${1:-build/demo}"
