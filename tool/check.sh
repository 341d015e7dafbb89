#!/bin/bash
# check.sh - the checks that take too long for `make test`, run by hand; prints their figures.
#
# Unit tests that read FARTHING_LONG or FARTHING_CASES run with far more cases; other rooms add
# their long runs below, one line each.  MINUTES are not bounded here: expect half an hour.
cd "$(dirname "$0")/.." || exit 1
export PATH=/usr/bin:$PATH
failed=0

check() {
    printf '\n== %s\n' "$*"
    local start=$SECONDS
    if "$@"; then
        echo "== done in $((SECONDS - start)) s: $*"
    else
        failed=$((failed + 1))
        echo "== FAILED after $((SECONDS - start)) s: $*"
    fi
}

tool/deps.sh test || exit 1
tool/build.sh release || exit 1

export FARTHING_LONG=1
export FARTHING_CASES=${FARTHING_CASES:-10000000}
check ctest --test-dir build/release -L long --verbose --no-tests=error --timeout 7200
check test/sim/sim_bill.py --first 1001 --seeds "${FARTHING_SEEDS:-10000}" --jobs "$(nproc)"
check test/sim/sim_bill.py --first 1001 --seeds "${FARTHING_CORRECTION_SEEDS:-1000}" --jobs "$(nproc)" --only corrections
check test/sim/sim_bill.py --first 1001 --seeds "${FARTHING_CORRECTION_SEEDS:-1000}" --jobs "$(nproc)" --only "long corrections"
check test/sim/sim_bill.py --first 1001 --seeds "${FARTHING_CORRECTION_SEEDS:-1000}" --jobs "$(nproc)" --only months
check test/sim/sim_bill.py --first 1001 --seeds "${FARTHING_VIEW_SEEDS:-1000}" --jobs "$(nproc)" --only view
check test/sim/sim_cover.py --farthing build/release/farthing --hours "${FARTHING_HOURS:-10000}" --seed check
check test/sim/sim_late.py --farthing build/release/farthing --cases "${FARTHING_LATE:-1000}"
check test/planted.py --first 1001 --seeds "${FARTHING_PLANTED:-1000}"
for seed in 1 2 3 4 5; do
    check make -s tokens SEED=$seed
done
check make -s real
check test/samples/samples.py --samples "${FARTHING_SAMPLES:-100000000}" --memory 256
check test/samples/samples.py --samples "${FARTHING_SAMPLES:-100000000}" --memory 256 --pipe
check tool/foreign.sh

echo
if [ $failed = 0 ]; then
    echo "all checks hold"
else
    echo "$failed checks failed"
    exit 1
fi
