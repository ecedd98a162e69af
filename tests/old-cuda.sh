#!/usr/bin/env bash
# What the targets' toolkit and processor ask of the C code, where neither is at hand: all host C compiles against
# CUDA 12.6 and cuDNN 9.3 headers, all C compiles for aarch64, and the tests of the CPU pass there under qemu.
# Installs what it needs and keeps what it fetches (0.7 GB) in build/old. Closing line: "N passed, N failed". Debian 12.
# Usage: tests/old-cuda.sh [ctest options]
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh old
passed=0 failed=0
headers=$PWD/build/old/cuda sysroot=$PWD/build/old/sysroot build=$PWD/build/aarch64
wheels=('nvidia-cuda-runtime-cu12==12.6.*' 'nvidia-cuda-nvcc-cu12==12.6.*' 'nvidia-cudnn-cu12==9.3.*')
mapfile -t libraries < <(grep -oE '\b[a-z0-9]+-dev\b' tools/setup.sh)
# With what only the cuda preset builds of the tests; not test_plans.c, which needs cuDNN 9.8.
mapfile -t sources < <(find runtime kernels board config trainer tools tests/gpu tests/cuda/driver.c -name '*.c' | sort)
mapfile -t cuda_sources < <(find kernels/cuda -name '*.c' | sort)
# Orin's is a Cortex-A78; this is the nearest that this qemu has.
emulator=(qemu-aarch64 -cpu cortex-a76 -L "$sysroot")

# check NAME COMMAND...: one test that is a command.
check() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok: $name"
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
}

# fetched FOLDER WHAT...: whether FOLDER holds just that already; if not, it is emptied.
fetched() {
  local folder=$1
  shift
  [ "$(cat "$folder.holds" 2>/dev/null)" = "$*" ] && return
  rm -rf "$folder" "$folder.holds"
  mkdir -p "$folder"
  return 1
}

fetch_headers() {
  local unpacked=build/old/wheels
  fetched "$headers" "${wheels[@]}" && return
  echo "Fetching ${wheels[*]}"
  rm -rf "$unpacked"
  /usr/bin/python3 -m pip install --quiet --no-cache-dir --no-deps --only-binary :all: --target "$unpacked" "${wheels[@]}"
  cp -r "$unpacked"/nvidia/*/include/. "$headers"
  rm -rf "$unpacked"
  echo "${wheels[*]}" >"$headers.holds"
}

# The libraries for arm64 and all that they need, by an apt with a state of its own: the machine's stays as it is.
fetch_sysroot() {
  local apt=$PWD/build/old/apt link
  local options=(-qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Install-Recommends=false
    -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt" -o Debug::NoLocking=true)
  fetched "$sysroot" "${libraries[@]}" && return
  echo "Fetching for arm64: ${libraries[*]}"
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  : >"$apt/status"
  apt-get "${options[@]}" update
  apt-get "${options[@]}" install -y --download-only "${libraries[@]}" libstdc++6
  find "$apt/archives" -name '*.deb' -exec dpkg -x {} "$sysroot" \;
  # Links are meant from the root, which here is the sysroot.
  find "$sysroot" -lname '/*' | while read -r link; do
    ln -sfn "$sysroot$(readlink "$link")" "$link"
  done
  rm -rf "$apt"
  echo "${libraries[*]}" >"$sysroot.holds"
}

# For aarch64 in place of this machine.
for_aarch64() {
  local libs=$sysroot/usr/lib/aarch64-linux-gnu
  PKG_CONFIG_SYSROOT_DIR=$sysroot PKG_CONFIG_LIBDIR=$libs/pkgconfig:$sysroot/usr/share/pkgconfig \
    "$@"
}

# host_c COMPILER...: compiles all C of the product, the CUDA backend's included, which without nvcc no preset does.
host_c() {
  local include
  read -ra include < <(pkg-config --cflags zlib libsodium libpng libjpeg libtiff-4 libmodbus libconfuse libsystemd)
  local options=(-std=c17 -O2 -Wall -Wextra -Wshadow -Wconversion -Wvla -Werror -fPIC -fno-math-errno -fno-trapping-math
    -D_GNU_SOURCE -DFG_VERSION='"old"' -DFG_SYSTEMD=1 -I . -isystem "$headers" "${include[@]}")
  printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -n 1 "$@" "${options[@]}" -o /dev/null -c || return
  "$@" "${options[@]}" -M "${sources[@]}" >build/old/dependencies || return
  ! elsewhere build/old/dependencies
}

# The headers named as CUDA's and cuDNN's are that do not come from the wheels: the machine's own, or the stand-ins of
# our emulator.
elsewhere() {
  tr -s '[:space:]' '\n' <"$1" | sort -u | grep -vE "^$headers/|^kernels/cuda/" |
    awk -F/ 'NR == FNR { known[$NF]; next } $NF in known || $NF ~ /^(cu(da|dnn|blas)|nccl|nv)[a-zA-Z0-9_]*\.h$/ { print "not from the wheels: " $0 }' \
      <(find "$headers" -name '*.h') - | grep .
}

build_aarch64() {
  for_aarch64 cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_SYSTEM_NAME=Linux \
    -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_SYSROOT="$sysroot" -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc \
    -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_EXECUTABLE_SUFFIX_C=.aarch64 \
    -DCMAKE_CROSSCOMPILING_EMULATOR="$(IFS=';'; echo "${emulator[*]}")" >/dev/null || return
  cmake --build "$build" >"$build/build.log" 2>&1 || { grep -E 'error|FAILED' "$build/build.log"; return 1; }
  # A program that starts another needs one that this machine runs.
  local program
  for program in "$build"/*.aarch64; do
    cat >"${program%.aarch64}" <<END
#!/bin/sh
exec ${emulator[*]} "\$0.aarch64" "\$@"
END
    chmod +x "${program%.aarch64}"
  done
}

count() {
  grep -cE "$1" "$2" || true
}

# Those of tests/end-to-end are left out: what qemu computes is later than a line's deadlines, or than their patience.
programs() {
  local log=$build/Testing/Temporary/LastTest.log whole=true ended
  rm -f "$log"
  ctest --test-dir "$build" --output-on-failure -LE end-to-end "$@" | grep -vE '^ +Start ' || whole=false
  [ -e "$log" ] || : >"$log"
  grep -oE '^\[  SKIPPED \] test_.*' "$log" | sort -u | sed 's/.* /not available here: /' || true
  echo 'not available under qemu: tests/end-to-end, whose deadlines are real time'
  passed=$((passed + $(count '^\[       OK \]' "$log")))
  # A test that fails, or ends before it could say so, is one failed program.
  ended=$(count '^Test (Failed|Timeout)\.' "$log")
  # What ctest could not run, or did not come to, is in no count.
  [ "$ended" -gt 0 ] || $whole || ended=1
  failed=$((failed + ended))
}

mkdir -p build/old
fetch_headers
fetch_sysroot
[ ${#cuda_sources[@]} -gt 0 ] || echo 'not available: the CUDA backend has no host C yet; the rest includes no header of CUDA'
check "${#sources[@]} files of host C against CUDA 12.6 and cuDNN 9.3" host_c gcc
check 'the same for aarch64' for_aarch64 host_c aarch64-linux-gnu-gcc --sysroot="$sysroot"
broken=$failed
check 'all C of programs and tests builds for aarch64' build_aarch64
[ "$failed" -gt "$broken" ] || programs "$@"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
