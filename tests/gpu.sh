#!/usr/bin/env bash
# The checks and benchmarks that need a GPU.
#
# tests/gpu.sh pack             here: builds, and puts what the other machine needs into build/gpu (below 64 MiB)
# tests/gpu.sh check            there: operators, networks, training against the CPU; exit status 0 when all that ran passed
# tests/gpu.sh bench BACKBONE   there: speed beside PyTorch's on the same GPU, and the floor
#
# Each of the last two takes below 8 minutes, needs no network, and leaves what it has in $OUT (build/gpu/results) when it
# is stopped: results.json and table.txt. cuDNN is found beside the machine's PyTorch where it is not installed. A tool that
# does not work there is "not available", never passed.
set -euo pipefail
cd "$(dirname "$0")/.."

packed=build/gpu
out=${OUT:-$packed/results}

pack() {
  cmake --preset cuda >/dev/null
  cmake --build build/cuda | tail -n 1
  rm -rf "$packed"
  mkdir -p "$packed/lib"
  local programs=(build/cuda/{flawgate,flawgate-train,gpu_check,flawgate-cuda.so})
  cp "${programs[@]}" "$packed"
  # All libraries but the C library's own (any Linux has them) and cuDNN (a gigabyte).
  ldd "${programs[@]}" | awk '$2 == "=>" && $3 ~ "^/" { print $3 }' | sort -u |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libcudnn[a-z_]*)\.so' | xargs cp -L -t "$packed/lib"
  strip "$packed"/{flawgate,flawgate-train,gpu_check} "$packed"/lib/*
  du -sm "$packed" | awk '{ print $1 " MiB in " $2; exit $1 >= 64 }'
}

# Sets the way to libraries; says where cuDNN is.
find_libraries() {
  [ -x "$packed/gpu_check" ] || { echo "there is no $packed; run tests/gpu.sh pack where the compilers are"; exit 3; }
  local cudnn
  cudnn=$(python3 -c 'import nvidia.cudnn as c; print(c.__path__[0] + "/lib")' 2>/dev/null || true)
  export LD_LIBRARY_PATH=$PWD/$packed/lib${cudnn:+:$cudnn}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  echo "cuDNN: ${cudnn:-as installed}"
}

# result NAME passed|failed|"not available" [DETAIL]: a line of the table and of the JSON, at once.
result() {
  printf '%-28s %-13s %s\n' "$1" "$2" "${3:-}" | tee -a "$out/table.txt"
  local detail=${3:-}
  [ "${detail:0:1}" = '{' ] || detail="\"$(tr -d '"' <<<"$detail")\"" # what is JSON stays it
  printf '{"check": "%s", "result": "%s", "detail": %s}\n' "$1" "$2" "$detail" >>"$out/results.json"
}

begin() {
  mkdir -p "$out"
  : >"$out/table.txt"
  : >"$out/results.json"
  find_libraries
  local device
  if ! device=$("$packed/gpu_check" device 2>&1); then
    result device 'not available' "$device"
    exit 3
  fi
  result device "$(date -u +%F)" "$device"
}

failed=0

# within SECONDS COMMAND...: for so long at most, and for what is left of the whole run's time.
within() {
  local left=$((470 - SECONDS)) limit=$1
  shift
  [ "$left" -ge 1 ] || return 124
  timeout "$((limit < left ? limit : left))" "$@"
}

# try NAME SECONDS COMMAND...
try() {
  local name=$1 limit=$2 log="$out/$1.log" status=0
  shift 2
  within "$limit" "$@" >"$log" 2>&1 || status=$?
  case $status in
    0) result "$name" passed "$(grep -cE '^\[       OK \]' "$log" || true) tests" ;;
    124) failed=1; result "$name" failed "not ended after $limit s, or in the time of the whole run" ;;
    *) failed=1; result "$name" failed "$(grep -E 'ERROR|error|FAILED' "$log" | head -n 1)" ;;
  esac
}

sanitizer() {
  local tool
  tool=$(command -v compute-sanitizer || true)
  if [ -z "$tool" ] || ! within 60 "$tool" "$packed/gpu_check" device >"$out/sanitizer.log" 2>&1; then
    result compute-sanitizer 'not available' "${tool:-not installed}"
    return
  fi
  try compute-sanitizer 90 "$tool" --error-exitcode 9 "$packed/gpu_check" resize
}

# Held-out losses of each epoch, from --json's lines.
losses() {
  grep -oE '"loss": [0-9.eE+-]+' "$1" | awk '{ print $2 }'
}

# ResNet-18 on pictures made here, on both; the curves must be within noise of each other.
training() {
  local pictures=$out/pictures device
  "$packed/gpu_check" pictures "$pictures"
  for device in cpu cuda; do
    within 100 "$packed/flawgate-train" "$pictures" --out "$out/$device.fgb" --teacher random --backbone resnet18 --size 128 --epochs 4 --json \
      --device "$device" >"$out/train-$device.json" 2>"$out/train-$device.log" || true
  done
  local curves
  curves=$(paste <(losses "$out/train-cpu.json") <(losses "$out/train-cuda.json"))
  if [ "$(awk 'NF == 2 { d = ($2 - $1) / $1; if (d < 0.1 && d > -0.1) n++ } END { print n + 0 }' <<<"$curves")" -ge 4 ]; then
    result training passed "$(tr '\t\n' '/ ' <<<"$curves")"
  else
    failed=1
    result training failed "losses, CPU/GPU: $(tr '\t\n' '/ ' <<<"$curves")"
  fi
}

check() {
  begin
  local test
  for test in resize exact tf32 half network finite memory; do
    try "$test" 120 "$packed/gpu_check" "$test"
  done
  training
  sanitizer
  cat "$out/table.txt"
  [ "$failed" -eq 0 ]
}

bench() {
  local backbone=${1:?which backbone?}
  begin
  if within 300 "$packed/flawgate" bench "$backbone" --floor --device cuda --json >"$out/bench.json" 2>"$out/bench.log"; then
    result "flawgate $backbone" measured "$(cat "$out/bench.json")"
  else
    failed=1
    result "flawgate $backbone" failed "$(tail -n 1 "$out/bench.log")"
  fi
  if within 170 python3 tests/torch/bench.py "$backbone" --device cuda --json >"$out/torch.json" 2>"$out/torch.log"; then
    result "PyTorch $backbone" measured "$(cat "$out/torch.json")"
  else
    result "PyTorch $backbone" 'not available' "$(tail -n 1 "$out/torch.log")"
  fi
  [ "$failed" -eq 0 ]
}

case ${1:-} in
  pack | check) "$1" ;;
  bench) bench "${2:-}" ;;
  *) sed -n '4,6s/^# //p' "$0"; exit 2 ;;
esac
