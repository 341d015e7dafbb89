#!/bin/sh
# yyjson.sh DIR - lays yyjson.c and yyjson.h into DIR, once; later calls need no network.
#
# yyjson is not in Debian 12 and no third-party source is copied into this tree.  The source
# package of the Python binding carries the two files.  pip fetches it from whatever index pip
# is set up with, and compares it with the hash below before anything in it is run.
set -eu

version=4.0.6
sha256=fcd4dc15c1e39a30bf9fa85d56903029111506860fc3080ab0d81c6c6dacaa8c

mkdir -p "$1"
cd "$1"
stamp=yyjson-$version.done

# Several presets may be configured at the same time and share the folder.
exec 9>lock
flock 9
[ -f "$stamp" ] && exit 0

scratch=$(mktemp -d ./fetch.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
printf 'yyjson==%s --hash=sha256:%s\n' "$version" "$sha256" >"$scratch/requirements.txt"

# pip asks a source package for its metadata even when it only downloads; for that it fetches
# the build backend into a place of its own, so build isolation stays on.  PIP names another pip.
say() { echo "yyjson.sh: $*" >&2; }
if ! ${PIP:-python3 -m pip} download --quiet --no-deps --no-binary yyjson --require-hashes \
    --disable-pip-version-check --requirement "$scratch/requirements.txt" \
    --dest "$scratch" >"$scratch/log" 2>&1; then
    cat "$scratch/log" >&2
    say "cannot fetch yyjson $version with pip; it is needed once, then kept in $PWD"
    exit 1
fi
archive=$scratch/yyjson-$version.tar.gz
echo "$sha256  $archive" | sha256sum --check --quiet -

tar -xzf "$archive" -C "$scratch" --strip-components=1
mv "$scratch/yyjson/yyjson.c" "$scratch/yyjson/yyjson.h" "$scratch/LICENSE" .
: >"$stamp"
say "yyjson $version is in $PWD"
