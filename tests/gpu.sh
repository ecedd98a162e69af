#!/usr/bin/env bash
# The checks and benchmarks that need a GPU.
#
# tests/gpu.sh pack             here: builds, and puts what the other machine needs into build/gpu (below 64 MiB)
# tests/gpu.sh check            there: networks, operators, training against the CPU; exit status 0 when all that ran passed
# tests/gpu.sh bench BACKBONE   there: speed beside PyTorch's on the same GPU, and the floor
#
# Each of the last two takes below 8 minutes, needs no network, and leaves what it has in $OUT (build/gpu/results) when it
# is stopped: results.json (an object a line) and table.txt. cuDNN is found beside the machine's PyTorch where it is not
# installed. A tool that does not work there is "not available"; what was stopped is "cut off", and its figures are those
# that it had: neither is passed.
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
  # All libraries but those of C and C++ (any Linux has them, and PyTorch needs its own) and cuDNN (a gigabyte).
  ldd "${programs[@]}" | awk '$2 == "=>" && $3 ~ "^/" { print $3 }' | sort -u |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|libcudnn[a-z_]*)\.so' | xargs cp -L -t "$packed/lib"
  strip "$packed"/{flawgate,flawgate-train,gpu_check} "$packed"/lib/*
  du -sm "$packed" | awk '{ print $1 " MiB in " $2; exit $1 >= 64 }'
}

# Runs our programs with the libraries that were packed; says where cuDNN is.
ours=(env)
find_libraries() {
  [ -x "$packed/gpu_check" ] || { echo "there is no $packed; run tests/gpu.sh pack where the compilers are"; exit 3; }
  local cudnn
  cudnn=$(python3 -c 'import nvidia.cudnn as c; print(c.__path__[0] + "/lib")' 2>/dev/null || true)
  ours=(env "LD_LIBRARY_PATH=$PWD/$packed/lib${cudnn:+:$cudnn}${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
  echo "cuDNN: ${cudnn:-as installed}"
}

# result NAME passed|failed|measured|"cut off"|"not available" [DETAIL]: a line of the table and of the JSON, at once.
result() {
  local detail=${3:-}
  printf '%-28s %-13s %s\n' "$1" "$2" "$(tr -d '{}"' <<<"$detail")" | tee -a "$out/table.txt"
  [ "${detail:0:1}" = '{' ] || detail="\"${detail//[$'\n"\\']/ }\"" # what is JSON stays it
  printf '{"check": "%s", "result": "%s", "detail": %s}\n' "$1" "$2" "$detail" >>"$out/results.json"
}

# record NAME: a result of each line that is whole.
record() {
  local line
  while IFS= read -r line; do
    result "$1" measured "$line"
  done
}

begin() {
  mkdir -p "$out/state"
  out=$(cd "$out" && pwd)
  : >"$out/table.txt"
  : >"$out/results.json"
  export STATE_DIRECTORY=$out/state # which engines were chosen
  find_libraries
  local device
  if ! device=$(within 60 "${ours[@]}" "$packed/gpu_check" device 2>&1); then
    result device 'not available' "$device"
    exit 3
  fi
  result device "$(date -u +%F)" "$device"
}

failed=0

# within SECONDS COMMAND...: for so long at most, and for what is left of the whole run's time; then its status is 124 or 137.
within() {
  local left=$((470 - SECONDS)) limit=$1
  shift
  [ "$left" -ge 1 ] || return 124
  timeout -k 5 "$((limit < left ? limit : left))" "$@"
}

# try NAME SECONDS COMMAND...: cmocka's tests, or a command that says what is wrong.
try() {
  local name=$1 limit=$2 log="$out/$1.log" status=0 tests
  shift 2
  within "$limit" "$@" >"$log" 2>&1 || status=$?
  tests=$(grep -cE '^\[       OK \]' "$log" || true)
  grep -E "the CPU's|of the device's memory" "$log" | record "$name" || true
  case $status in
    0) result "$name" passed "$tests tests"; return ;;
    124 | 137) result "$name" 'cut off' "after $tests tests, at $SECONDS s of the whole run" ;;
    *) result "$name" failed "status $status: $(grep -E 'ERROR|error|FAILED' "$log" | head -n 1)" ;;
  esac
  failed=1
}

sanitizer() {
  local tool
  tool=$(PATH=$PATH:/usr/local/cuda/bin command -v compute-sanitizer || true)
  if [ -z "$tool" ] || ! within 30 "${ours[@]}" "$tool" "$packed/gpu_check" device >"$out/sanitizer.log" 2>&1; then
    result compute-sanitizer 'not available' "${tool:-not installed}"
    return
  fi
  try compute-sanitizer 470 "${ours[@]}" "$tool" --report-api-errors no --error-exitcode 9 \
    "$packed/gpu_check" resize half
}

# The most telling first. If each takes all its seconds, what is left for the last is little.
check() {
  begin
  local test
  for test in network:150 finite:30 half:40 training:70 exact:80 tf32:70 memory:25 resize:15; do
    try "${test%:*}" "${test#*:}" "${ours[@]}" "$packed/gpu_check" "${test%:*}"
  done
  sanitizer
  [ "$failed" -eq 0 ]
}

# measure NAME SECONDS COMMAND...: what prints an object a line for each figure, into NAME.json; gives its status.
measure() {
  local name=$1 limit=$2 status=0
  shift 2
  within "$limit" "$@" 2>"$out/$name.log" | tee "$out/$name.json" | record "$name" || status=$?
  case $status in
    0) ;;
    124 | 137) failed=1; result "$name" 'cut off' "at $SECONDS s of the whole run" ;;
    *) return 1 ;;
  esac
}

# figure NAME KEY PATTERN...: of NAME.json, in the line that has all patterns; nothing where there is none.
figure() {
  local lines key=$2 pattern
  lines=$(<"$out/$1.json")
  shift 2
  for pattern in "$@"; do
    lines=$(grep -F "$pattern" <<<"$lines" || true)
  done
  grep -oE "\"$key\": [0-9.eE+-]+" <<<"$lines" | awk '{ print $2 }' || true
}

# ratio NAME A B WHAT GOAL
ratio() {
  if [ -n "$2" ] && [ -n "$3" ]; then
    result "$1" measured "$(awk "BEGIN { printf \"%.2f\", $2 / $3 }") ($2 / $3 $4); goal of wide_resnet50_2 on an H200: $5"
  else
    result "$1" 'not available' "a figure is missing"
  fi
}

# What the goals name, of this run's figures alone.
ratios() {
  local judging=('"of": "judging"' '"batch": 1,') training='"of": "training"' p50 best how
  p50=$(figure flawgate p50_ms "${judging[@]}")
  best=$(figure torch p50_ms "${judging[@]}" | sort -g | head -n 1)
  how=$(grep -F "${judging[1]}" "$out/torch.json" | grep -oE '"how": "[^"]*"' | cut -d '"' -f 4 | paste -sd / || true)
  ratio 'p50 to PyTorch' "$p50" "$best" "ms, the best of $how" 'at most 0.5'
  ratio 'p50 to the floor' "$p50" "$(figure flawgate ms '"of": "floor"' "${judging[1]}")" ms 'at most 2.5'
  ratio 'training to PyTorch' "$(figure flawgate images_per_second "$training")" "$(figure torch images_per_second "$training")" \
    'images/s' 'at least 1.5'
}

bench() {
  local backbone=${1:?which backbone?}
  begin
  if ! measure flawgate 260 "${ours[@]}" "$packed/flawgate" bench "$backbone" --floor --device cuda --json; then
    failed=1
    result flawgate failed "$(tail -n 1 "$out/flawgate.log")"
  fi
  measure torch 470 python3 tests/torch/bench.py "$backbone" --device cuda --json ||
    result torch 'not available' "$(tail -n 1 "$out/torch.log")"
  ratios
  [ "$failed" -eq 0 ]
}

case ${1:-} in
  pack | check) "$1" ;;
  bench) bench "${2:-}" ;;
  *) sed -n '4,6s/^# //p' "$0"; exit 2 ;;
esac
