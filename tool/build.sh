#!/bin/sh
# build.sh PRESET [TARGET...] - installs what is missing, then builds build/PRESET.
set -eu
cd "$(dirname "$0")/.."

preset=$1
shift
case $preset in
clang | fuzz) tool/deps.sh test ;;
*) tool/deps.sh build ;;
esac

if [ ! -f "build/$preset/build.ninja" ]; then
    mkdir -p "build/$preset"
    cmake --preset "$preset" >"build/$preset/configure.log" 2>&1 || {
        cat "build/$preset/configure.log" >&2
        exit 1
    }
fi
quiet=--quiet # progress is for people
[ -t 1 ] && quiet=
# -k 0: one run names every file that does not compile.
cmake --build "build/$preset" ${1:+--target "$@"} -- -k 0 $quiet
