#!/bin/bash
# fresh.sh COMMAND... - runs a command such as `make demo` from a clean clone of HEAD in a new,
# minimal Debian 12, to prove that the tree installs all it needs.  Needs root and debootstrap.
#
# Archive, certificates, proxies and pip's index are those this machine is set up with; nothing
# else of it is seen inside.  `make` is the one package put there first.  The root is removed
# at the end, unless KEEP=1; ROOT=DIR names its place.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: fresh.sh COMMAND..." >&2 && exit 2; }
[ "$(id -u)" = 0 ] || { echo "fresh.sh: must be root, to make a root" >&2 && exit 1; }
command -v debootstrap >/dev/null || { echo "fresh.sh: install debootstrap first" >&2 && exit 1; }

# What apt here calls bookworm, its updates and its security fixes: "URI RELEASE".
sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    awk '$2 ~ /^bookworm(-updates|-security)?$/' | sort -u)
mirror=$(awk '$2 == "bookworm" { print $1; exit }' <<<"$sources")
[ -n "$mirror" ] || { echo "fresh.sh: apt knows no archive of bookworm" >&2 && exit 1; }

root=${ROOT:-$(mktemp -d /var/tmp/farthing_fresh.XXXXXX)}
mkdir -p "$root"
if [ "${KEEP-}" != 1 ]; then
    trap 'rm -rf --one-file-system "$root"' EXIT
fi
say() { printf '\n== fresh: %s (%d s)\n' "$*" "$SECONDS"; }

say "Debian 12, minimal, in $root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 20 "$root.log" >&2 && exit 1; }
rm -f "$root.log"

awk '{ print "deb", $1, $2, "main" }' <<<"$sources" >"$root/etc/apt/sources.list"
apt-config dump | grep -E '^Acquire::(http|https|ftp|Check-|Retries)' \
    >"$root/etc/apt/apt.conf.d/90machine" || true
cp -L /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
if [ -f /etc/pip.conf ]; then
    cp /etc/pip.conf "$root/etc/"
fi
# Certificates of our own are picked up when ca-certificates is installed inside.
if [ -d /usr/local/share/ca-certificates ]; then
    mkdir -p "$root/usr/local/share"
    cp -rL /usr/local/share/ca-certificates "$root/usr/local/share/"
fi
git clone --quiet --no-hardlinks . "$root/root/farthing"

environment=(HOME=/root TERM="${TERM:-dumb}"
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY PIP_INDEX_URL \
    PIP_EXTRA_INDEX_URL PIP_CERT PIP_TRUSTED_HOST PIP_DEFAULT_TIMEOUT; do
    if [ -n "${!name-}" ]; then
        environment+=("$name=${!name}")
    fi
done

# The mounts live in a namespace of their own and go with the command.
inside() {
    unshare --mount --fork bash -eu -c '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount -t tmpfs tmpfs "$root/dev/shm" 2>/dev/null || true
        exec chroot "$root" env -i "$@"' inside "$root" "${environment[@]}" "$@"
}

say "make"
inside sh -c 'apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q \
    --no-install-recommends make' >"$root/root/make.log" 2>&1 ||
    { tail -n 20 "$root/root/make.log" >&2 && exit 1; }
# As on a machine nobody has used: deps.sh must renew the lists by itself.
rm -rf "$root"/var/lib/apt/lists/*

say "$*"
status=0
inside sh -c "cd /root/farthing && $*" </dev/null || status=$?
say "exit $status: $*"
exit $status
