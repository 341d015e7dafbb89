#!/bin/bash
# test.sh [SUBSTRING...] - the whole suite, or the tests and cases whose name holds a SUBSTRING.
#
# Installs what is missing; builds the release, the sanitized and the clang tree; lints; runs
# ctest and the case files on the release and again under the sanitizers.  The last line sums
# all of it up: 'N passed, N failed'.  A step that cannot run at all counts as one failure.
cd "$(dirname "$0")/.." || exit 1

# Debian's python3 has the modules that deps.sh installs; another one on PATH may not.
export PATH=/usr/bin:$PATH
export UBSAN_OPTIONS=print_stacktrace=1
jobs=$(nproc)
mkdir -p build
log=$(mktemp build/test.XXXXXX)
trap 'rm -f "$log"' EXIT
passed=0 failed=0 skipped=0

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# A step that either works or does not.
step() {
    say "$*"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $*"
    fi
}

# A step whose output ends with counts of its own.
count() {
    local name=$1 status figures
    shift
    say "$name"
    "$@" 2>&1 | tee "$log"
    status=${PIPESTATUS[0]}
    # ctest:    98% tests passed, 1 tests failed out of 40
    # test/run: 39 passed, 1 failed, 2 skipped
    figures=$(sed -nE -e 's/^[0-9]+% tests passed, ([0-9]+) tests failed out of ([0-9]+)$/of \2 \1/p' \
        -e 's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p' "$log" | tail -n 1)
    set -- $figures
    [ "${1-}" = of ] && set -- $(($2 - $3)) "$3"
    passed=$((passed + ${1:-0}))
    failed=$((failed + ${2:-0}))
    skipped=$((skipped + ${3:-0}))
    # It ended badly, but not for a test it has counted.
    if [ "$status" != 0 ] && [ "${2:-0}" = 0 ]; then
        failed=$((failed + 1))
        echo "FAILED: $name"
    fi
}

finish() {
    printf '\n%d s\n' "$SECONDS"
    if [ $((passed + failed)) = 0 ]; then
        echo "nothing was run"
        failed=1
    fi
    echo "$passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
    [ $failed = 0 ]
    exit
}

run_suite() {
    local preset=$1
    shift
    # --no-tests=ignore: with a substring there may be none here and some among the cases.
    count "ctest, $preset" ctest --test-dir "build/$preset" --output-on-failure -j "$jobs" \
        "${choice[@]}"
    # What a test has left out of itself ctest does not say.
    grep -ahE '^ *(\[  SKIPPED \] [a-z]|SKIPPED|skipped:)' \
        "build/$preset/Testing/Temporary/LastTest.log" 2>/dev/null | sort -u
    count "cases, $preset" test/run --build "build/$preset" -j "$jobs" "$@"
}

tool/deps.sh test || { failed=1 && finish; }

if [ $# -gt 0 ]; then
    choice=(--no-tests=ignore -R "$(IFS='|' && echo "$*")")
    step tool/build.sh release
    step tool/build.sh asan
else
    choice=(--no-tests=error)
    step tool/build.sh release
    step tool/build.sh asan
    step tool/build.sh clang
    step tool/check_layers.sh
    step tool/check_headers.sh
    step tool/check_pure.sh build/release
    step tool/check_pure.sh build/clang
fi
run_suite release "$@"
run_suite asan "$@"
finish
