# What the scripts of the platforms share. Each is run by conformance/platforms/run with PYTHON, WORK and WHEEL.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export PIP_DISABLE_PIP_VERSION_CHECK=1 HYPOTHESIS_PROFILE=smoke PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH

# It cannot be shown here: says why, and ends with the status that means that.
cannot() { echo "cannot be had here: $*"; exit 3; }

# A certificate of 127.0.0.1 with its key, for the program's calls over TLS: its arguments are in `over_tls`.
over_tls=()
if openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=IP:127.0.0.1 -keyout "$WORK/key.pem" -out "$WORK/certificate.pem" >/dev/null 2>&1; then
  cat "$WORK/key.pem" >>"$WORK/certificate.pem"
  over_tls=(--certificate "$WORK/certificate.pem")
else
  echo "not shown over TLS: openssl makes no certificate here"
fi

# A command that gets what the platform needs; what it prints is for its failure alone.
get() {
  local bound=()
  [ "$(type -t "$1")" = function ] || bound=(timeout 240)
  "${bound[@]}" "$@" >"$WORK/get.log" 2>&1 || { tail -n 3 "$WORK/get.log"; cannot "$*"; }
}

# pure DIRECTORY VERSION: the wheel and all that it depends on, for any machine, unpacked into a folder.
pure() {
  rm -rf "$1"
  get "$PYTHON" -m pip install --quiet --only-binary=:all: --platform any --implementation py --abi none \
    --python-version "$2" --target "$1" "${@:3}" "$WHEEL"
}

# The packages of Debian's next release, unpacked into a folder beside the system; entered by `in_sid`.
sid=$root/conformance/.work/platforms/sid
get_sid() {
  [ "$(id -u)" = 0 ] || cannot "the folder is entered by chroot, which needs root"
  unshare --mount true 2>/dev/null || cannot "unshare --mount, for a chroot with mounts of its own, is not allowed"
  mkdir -p "$sid"
  ( # several platforms have it in common
    flock 9
    [ ! -e "$sid/ready" ] || exit 0
    local packages=(pypy3 python3.14 dash coreutils ca-certificates libc-bin libstdc++6)
    timeout 240 "$here/debian" "$sid" sid amd64 python3.15 "${packages[@]}" >"$WORK/get.log" 2>&1 ||
      get "$here/debian" "$sid" sid amd64 "${packages[@]}"
    ln -sf dash "$sid/usr/bin/sh"
    cp /etc/hosts /etc/resolv.conf /etc/nsswitch.conf "$sid/etc/" 2>/dev/null || true
    cp -r /etc/ssl "$sid/etc/"
    mkdir -p "$sid/proc" "$sid/dev" "$sid/root"
    chroot "$sid" /usr/sbin/ldconfig
    touch "$sid/ready"
  ) 9>"$sid.lock"
}
# A command in that folder, in the project's own folder. The mounts are gone with it.
in_sid() {
  mkdir -p "$sid$root"
  timeout "${SECONDS_AT_MOST:-300}" unshare --mount /bin/sh -c '
    sid=$1 root=$2; shift 2
    mount -t proc proc "$sid/proc" && mount --rbind /dev "$sid/dev" && mount --rbind "$root" "$sid$root" &&
      exec chroot "$sid" /usr/bin/env -i -C "$root" HOME=/root LC_ALL=C.UTF-8 PATH=/usr/bin:/bin \
      SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
      HYPOTHESIS_PROFILE=smoke PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
      TESTS_AT_LEAST="${TESTS_AT_LEAST:-0}" PYTHONPATH="${PYTHONPATH:-}" "$@"' sh "$sid" "$root" "$@"
}
