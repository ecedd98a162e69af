#!/usr/bin/env bash
# Builds the .deb, looks at it with lintian, installs it with apt in a fresh Debian 12 that debootstrap makes in a folder,
# trains a small bundle there and runs a line on it as the user flawgate: with the example configuration's own places, on
# a simulated board. Then it starts the service there by a systemd of its own, in namespaces, kills the daemon, and looks
# that the outputs are made safe and the service is there again. In the end it removes the package.
#
# It needs root, debootstrap, lintian and Debian's mirror, and takes some minutes. Exit status 77, with a line that says
# why: one of them is not there. Usage: tests/package.sh [FOLDER]   FOLDER keeps the Debian for the next run.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() {
  echo "skipped: the package is not installed anywhere, since $1"
  exit 77
}

mirror=${MIRROR:-http://deb.debian.org/debian}
[ "$(id -u)" -eq 0 ] || skip 'only root can make a Debian in a folder'
command -v debootstrap >/dev/null || skip 'there is no debootstrap here'
command -v lintian >/dev/null || skip 'there is no lintian here'
/usr/bin/python3 - "$mirror" <<'END' || skip "$mirror cannot be reached"
import sys, urllib.request
urllib.request.urlopen(sys.argv[1] + "/dists/bookworm/InRelease", timeout=20)
END

cmake --preset cpu >/dev/null
cmake --build build/cpu
rm -f build/cpu/flawgate_*.deb
(cd build/cpu && cpack)
package=$(echo build/cpu/flawgate_*.deb)
lintian --allow-root --fail-on error "$package"

if [ $# -ge 1 ]; then
  root=$1
else
  root=$(mktemp -d --tmpdir flawgate-package.XXXXXX)
  chmod 755 "$root" # the user flawgate lives in it
fi
daemon='' init=''
finish() {
  [ -z "$daemon" ] || kill -9 "$daemon" 2>/dev/null || true
  [ -z "$init" ] || kill -9 "$init" 2>/dev/null || true
  umount "$root/proc" 2>/dev/null || true
  [ $# -ge 1 ] || rm -rf --one-file-system "$root"
}
trap 'finish "$@"' EXIT
[ -e "$root/usr/bin/apt" ] || debootstrap --variant=minbase bookworm "$root" "$mirror"
in_root=(chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive)
as_flawgate=("${in_root[@]}" setpriv --reuid=flawgate --regid=flawgate --init-groups)
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

# What dpkg-shlibdeps found is all that a fresh system needs.
cp "$package" "$root/tmp/flawgate.deb"
"${in_root[@]}" apt-get update -qq
"${in_root[@]}" apt-get install -y -qq --no-install-recommends /tmp/flawgate.deb >/dev/null
"${in_root[@]}" getent passwd flawgate
"${in_root[@]}" flawgate version
"${in_root[@]}" flawgate version --sbom >/dev/null

# A line as the service has it: the example's folders, which the package has made, its own user.
"${as_flawgate[@]}" mkdir -p /var/lib/flawgate/pictures
PYTHONPATH=tests/end-to-end PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 - "$root/var/lib/flawgate/pictures" <<'END'
import sys
from common import good_part
for i in range(12):
    good_part(f"{sys.argv[1]}/{i:03}.png", i)
END
"${as_flawgate[@]}" flawgate-train /var/lib/flawgate/pictures --out /var/lib/flawgate/part.fgb --teacher random \
  --backbone resnet18 --size 64 --batch 4 --epochs 2 --quiet
port=$(/usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
sed -e "s/port = 502/port = $port/" -e 's/= 1024$/= 64/' -e 's/enable_at_start = false/enable_at_start = true/' \
  "$root/etc/flawgate/example.conf" >"$root/etc/flawgate/line.conf"
"${as_flawgate[@]}" flawgate check /etc/flawgate/line.conf >/dev/null
"${as_flawgate[@]}" flawgated -c /etc/flawgate/line.conf &
daemon=$!
# judge [FAULT]: brings a part to the line, and waits for its verdict; first it clears the fault that the line must show.
judge() {
  PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 - "$port" "${1:-0}" <<'END'
import sys, time
from plc import plc, to
client = plc(int(sys.argv[1]))
def wait(what, condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what + " did not happen"
        time.sleep(0.01)
wait("listening", client.connect)
bits = lambda: client.read_discrete_inputs(0, 16, **to(1)).bits
fault = lambda: client.read_input_registers(1, 1, **to(1)).registers[0]
if int(sys.argv[2]):
    wait("the fault", lambda: fault() == int(sys.argv[2]))
    assert not client.write_coil(3, True, **to(1)).isError()
wait("ready", lambda: bits()[1])
assert not client.write_coil(1, True, **to(1)).isError()
wait("result", lambda: bits()[3])
verdict = client.read_input_registers(19, 1, **to(1)).registers[0]
assert verdict in (1, 2), verdict
print("the installed line judged a part: verdict", verdict)
END
}
judge
"${as_flawgate[@]}" flawgate line /etc/flawgate/line.conf
kill "$daemon"
wait "$daemon" # its status is 0, or this script ends
daemon=

# The service. In a container that may not make namespaces there is none.
if unshare --mount --pid --fork --uts --ipc --cgroup true 2>/dev/null; then
  # shellcheck disable=SC2016 # the inner shell's own variables
  ROOT=$root unshare --mount --pid --fork --uts --ipc --cgroup bash -ec '
    mount --make-rprivate /
    mount --bind "$ROOT" "$ROOT"
    mount -t proc proc "$ROOT/proc"
    mount -t sysfs sysfs "$ROOT/sys"
    mount -t cgroup2 none "$ROOT/sys/fs/cgroup"
    mount -t tmpfs tmpfs "$ROOT/run"
    mount --rbind /dev "$ROOT/dev"
    cd "$ROOT"
    exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --system' \
    >"$root/tmp/systemd.log" 2>&1 &
  outer=$!
  until init=$(pgrep -P "$outer"); do kill -0 "$outer"; done
  # The programs of that system, beside its first process.
  inside=(nsenter -t "$init" -m -p -u -i -C chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin)
  until "${inside[@]}" systemctl is-system-running 2>/dev/null | grep -qE 'running|degraded'; do
    kill -0 "$init"
    sleep 0.2
  done
  "${inside[@]}" systemctl start flawgated
  judge
  "${inside[@]}" systemctl kill -s KILL flawgated
  until [ "$("${inside[@]}" systemctl show -p NRestarts --value flawgated)" = 1 ]; do
    seen=$("${inside[@]}" systemctl show -p ExecStopPost --value flawgated)
    sleep 0.2
  done
  grep -q 'code=exited ; status=0' <<<"$seen" # flawgate line --safe
  judge 26                                    # an end that was no drain
  "${inside[@]}" systemctl stop flawgated
  [ "$("${inside[@]}" systemctl show -p Result --value flawgated)" = success ]
  kill -9 "$init"
  init=
else
  echo 'skipped: the service, since this machine makes no namespaces for its systemd'
fi

"${in_root[@]}" apt-get remove -y -qq flawgate >/dev/null
[ ! -e "$root/usr/bin/flawgated" ] && [ -e "$root/etc/flawgate/line.conf" ]
echo "ok: $(basename "$package") is built, installed, run and removed"
