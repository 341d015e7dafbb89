#!/bin/bash
# fuzz.sh [SECONDS] [TARGET...] - each fuzz target of test/fuzz for SECONDS (60), with the
# sanitizers.  New inputs are gathered in build/fuzz/corpus; what reaches new code is kept in
# the tree by hand:  build/fuzz/test/fuzz_NAME -merge=1 test/fuzz/corpus/NAME build/fuzz/corpus/NAME
cd "$(dirname "$0")/.." || exit 1
seconds=${1:-60}
shift
tool/build.sh fuzz fuzzers || exit 1

failed=0
for target in build/fuzz/test/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=${target##*/fuzz_}
    [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
    mkdir -p "build/fuzz/corpus/$name" build/fuzz/broken
    kept=test/fuzz/corpus/$name
    [ -d "$kept" ] || kept=
    echo "== $name, $seconds s"
    if ! "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="build/fuzz/broken/$name-" "build/fuzz/corpus/$name" $kept \
        >"build/fuzz/$name.log" 2>&1; then
        failed=1
        tail -n 40 "build/fuzz/$name.log"
        echo "FAILED: $name; the input is in build/fuzz/broken"
    else
        sed -n 's/^stat::number_of_executed_units: */  runs: /p' "build/fuzz/$name.log"
    fi
done
exit $failed
