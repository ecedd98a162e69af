#!/usr/bin/env bash
# Installs what the tests need, builds, and runs everything that needs no GPU and no internet; with debootstrap, lintian and
# Debian's mirror also the package. Closing line:
# "N passed, N failed, N skipped". Exit status 0 only when nothing failed.
set -euo pipefail
cd "$(dirname "$0")/.."

tools/setup.sh test
passed=0 failed=0 skipped=0
failures= # what the failed tests said, for the end of a long log

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

format() {
  git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp' | xargs clang-format --dry-run -Werror
}

# clang-format leaves comments as they are.
columns() {
  ! git ls-files '*.c' '*.h' '*.cu' '*.cuh' '*.cpp' | LC_ALL=C.UTF-8 xargs grep -nE '^.{111,}'
}

# A status that a header gives must be looked at: each declaration says so.
must_use() {
  ! git grep -nE '^(static inline |typedef )?enum fg_status (fg_|\(\*)|^ +enum fg_status \(\*' -- '*.h'
}

# Of what the cpu preset compiles: without CUDA's headers not kernels/cuda.
tidy() {
  git ls-files 'runtime/*.c' 'kernels/*.c' 'board/*.c' 'config/*.c' 'trainer/*.c' 'tools/*.c' |
    grep -F -f <(grep -oE '(runtime|kernels|board|config|trainer|tools)/[^"]*\.c' build/cpu/compile_commands.json | sort -u) |
    xargs -P "$(nproc)" -n 8 clang-tidy --quiet -p build/cpu 2>/dev/null
}

cuda() {
  cmake --preset cuda >/dev/null || return
  cmake --build build/cuda >build/cuda/build.log 2>&1 || { grep -E 'error|FAILED' build/cuda/build.log; return 1; }
}

# programs PRESET [ctest options]: builds and runs the tests; counts what they report one by one.
programs() {
  local preset=$1 log=build/$1/Testing/Temporary/LastTest.log whole=true ended
  shift
  cmake --preset "$preset" >/dev/null
  if ! cmake --build "build/$preset" >"build/$preset/build.log" 2>&1; then
    grep -E 'error|FAILED' "build/$preset/build.log" || true
    failed=$((failed + 1))
    echo "FAILED: $preset does not build"
    return
  fi
  rm -f "$log"
  ctest --test-dir "build/$preset" -j 2 --no-tests=error --output-on-failure "$@" | grep -vE '^ +Start ' || whole=false
  [ -e "$log" ] || : >"$log"
  passed=$((passed + $(count '^\[       OK \]|(^|\.\.\. )ok$' "$log")))
  skipped=$((skipped + $(count '^\[  SKIPPED \] test|\.\.\. skipped' "$log")))
  # A test that fails, or ends before it could say so, is one failed program.
  ended=$(count '^Test (Failed|Timeout)\.' "$log")
  # What ctest could not run, or did not come to, is in no count.
  [ "$ended" -gt 0 ] || $whole || ended=1
  failed=$((failed + ended))
  [ "$ended" -eq 0 ] || failures+="$preset: $(said "$log")"$'\n'
}

# said LOG: the lines in which cmocka, unittest, asserts and sanitizers say what is wrong, and where.
said() {
  grep -E '^\[ +(ERROR|LINE|FAILED) +\]|^(FAIL|ERROR): |Error: |Assertion|Sanitizer|^Test (Failed|Timeout)\.' "$1" || true
}

count() {
  grep -cE "$1" "$2" || true
}

check 'folders include along the arrows' python3 tests/arrows.py
check 'clang-format' format
check '110 columns' columns
check 'results must be used' must_use
check 'shell scripts' shellcheck .ci/run tests/run.sh tests/gpu.sh tests/old-cuda.sh tests/modbus-clients.sh tools/setup.sh tools/demo.sh tests/package.sh tools/package/p*st* tools/package/prerm
programs cpu
check 'clang-tidy' tidy
status=0
tests/package.sh || status=$?
case $status in
  0) passed=$((passed + 1)) ;;
  77) skipped=$((skipped + 1)) ;;
  *) failed=$((failed + 1)) && echo 'FAILED: the package' ;;
esac
programs asan -LE end-to-end
programs tsan -LE end-to-end
if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then
  check 'cuda preset builds' cuda
  check 'kernels for every target' ctest --test-dir build/cuda --no-tests=error --output-on-failure -R 'cuda_(targets|contraction)'
  check 'cuDNN plans for every target' ctest --test-dir build/cuda --no-tests=error --output-on-failure -j 2 -R cuda_plans
else
  skipped=$((skipped + 1))
  echo 'skipped: the cuda preset, since there is no CUDA toolkit (nvcc) here'
fi

printf '%s' "$failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
