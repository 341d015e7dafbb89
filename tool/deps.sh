#!/bin/sh
# deps.sh build|test - installs the Debian packages that are missing; does nothing, fast, when
# none is.  Works as root or with sudo.
set -eu

build='build-essential cmake ninja-build pkg-config ca-certificates tzdata
    python3 python3-pip
    libfyaml-dev libgmp-dev libxxhash-dev libzstd-dev zlib1g-dev libssl-dev libsmartcols-dev
    libcmocka-dev libintelrdfpmath-dev'
test='clang libclang-rt-14-dev python3-yaml python3-jsonschema zstd gzip'

case "${1-}" in
build) wanted=$build ;;
test) wanted="$build $test" ;;
*) echo "usage: deps.sh build|test" >&2 && exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
    echo "deps.sh: not a Debian system; the build needs what these packages hold:" $wanted >&2
    exit 0
fi

present=$(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^ii *//p') || true
missing=
for package in $wanted; do
    echo "$present" | grep -qx "$package" || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=env
elif command -v sudo >/dev/null; then
    as_root='sudo env'
else
    echo "deps.sh: neither root nor sudo here; ask for: apt-get install$missing" >&2
    exit 1
fi

install_missing() {
    $as_root DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 $missing
}

# Package lists may be absent or older than the archive; then, and only then, they are renewed.
echo "deps.sh: installing$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! install_missing >"$log" 2>&1; then
    $as_root apt-get update -q >"$log" 2>&1 || true
    if ! install_missing >>"$log" 2>&1; then
        tail -n 30 "$log" >&2
        echo "deps.sh: apt-get could not install$missing" >&2
        exit 1
    fi
fi
