#!/usr/bin/env bash
# Tries the Modbus server with versions of pymodbus from PyPI whose interfaces differ, on TCP and on a pseudo
# terminal. It needs the network, so CI does not run it. Usage: tests/modbus-clients.sh BUILD
# BUILD: a folder that has been built, as build/cpu
set -euo pipefail

cd "$(dirname "$0")/.."
build=${1:?give the folder of a build}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

failed=0
for version in 2.5.3 3.0.2 3.16.1; do
  if ! { python3 -m venv "$folder/$version" &&
    "$folder/$version/bin/pip" install --quiet "pymodbus==$version" pyserial six; }; then
    echo "pymodbus $version: cannot be installed"
    failed=1
    continue
  fi
  for test in test_modbus_peers test_modbus_rtu; do
    if FG_PYTHON=$folder/$version/bin/python "$build/tests/$test" >"$folder/log" 2>&1; then
      echo "pymodbus $version: $test passes"
    else
      echo "pymodbus $version: $test fails:"
      grep -A 20 -E 'ERROR|FAILED' "$folder/log"
      failed=1
    fi
  done
done
exit $failed
