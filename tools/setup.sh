#!/usr/bin/env bash
# Installs what building and testing need: Debian 12 or Ubuntu 22.04 packages. Asks first when neither root nor CI.
# Usage: tools/setup.sh [test|old]   "test" adds what only the tests need, "old" what tests/old-cuda.sh needs besides.
set -euo pipefail

packages=(build-essential cmake ninja-build pkg-config zlib1g-dev libsodium-dev libpng-dev libjpeg-dev
  libtiff-dev libmodbus-dev libconfuse-dev libcmocka-dev libsystemd-dev python3)
if [ "${1:-}" = test ] || [ "${1:-}" = old ]; then
  packages+=(clang-format clang-tidy shellcheck mbpoll python3-pymodbus python3-serial python3-serial-asyncio
    python3-numpy python3-pyte python3-prometheus-client systemd mandoc)
fi
if [ "${1:-}" = old ]; then
  packages+=(gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user python3-pip)
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  as_root=(sudo)
  if [ "${CI:-}" != true ]; then
    printf 'To install with sudo apt-get: %s\nGo on? [y/N] ' "${missing[*]}"
    read -r answer
    [ "$answer" = y ] || { echo 'Nothing was installed.'; exit 3; }
  fi
fi
echo "Installing: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
