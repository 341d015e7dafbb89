#!/bin/bash
# build.sh PRESET [TARGET...] - installs what is missing, then builds build/PRESET.
set -euo pipefail
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
# -k 0: one run names every file that does not compile.
build() { NINJA_STATUS='[%f/%t] ' cmake --build "build/$preset" ${1:+--target "$@"} -- -k 0; }
# On a terminal ninja tells its progress in place; elsewhere each tenth of it is a line.
if [ -t 1 ]; then
    build "$@"
else
    build "$@" | awk -f tool/progress.awk
fi
