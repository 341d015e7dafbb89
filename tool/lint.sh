#!/bin/sh
# lint.sh BUILD... - what a compiler does not say: layers, purity of the objects in each build
# tree, and that every header compiles alone.  Prints all offences.
cd "$(dirname "$0")/.." || exit 1
failed=0
tool/check_layers.sh || failed=1
for build; do
    tool/check_pure.sh "$build" || failed=1
done
tool/check_headers.sh || failed=1
exit $failed
