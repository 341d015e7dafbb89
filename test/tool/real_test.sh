#!/bin/bash
# The comparison with a real bill, on an invented one: it holds, and it sees a cost that is off by the last digit, a free
# quantity that is off by three millionths, a line too few, and a quantity that does not add up.
set -eu
cd "$(dirname "$0")/../.."
export PATH=/usr/bin:$PATH
farthing=${FARTHING:-build/release/farthing}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp test/real/sample/*.csv "$work"

expect() { # what the last line must be, and the status
    local status=0
    test/real/real.py --data "$work" --farthing "$farthing" >"$work/out" 2>&1 || status=$?
    if [ "$(tail -n 1 "$work/out")" != "$1" ] || [ $status != "$2" ]; then
        echo "expected '$1' and status $2, got status $status:"
        cat "$work/out"
        exit 1
    fi
}

plant() { # one change of the bill; what follows
    sed "$1" test/real/sample/usage_2018-10.csv >"$work/usage_2018-10.csv"
    ! cmp -s test/real/sample/usage_2018-10.csv "$work/usage_2018-10.csv" || { echo "$1 plants nothing" && exit 1; }
    expect "$2" 1
}

# 7 lines of no pool that fills, one of a pool where all is paid or free on both bills; one pool and its four sums.
expect "real: 13 compared, 13 equal, 0 different" 0
grep -q "1 lines were paid by reservations (cost 0), and 1 are fees of these (2.5296)" "$work/out"
grep -q "free 1, really 0.9999995" "$work/out"

plant 's/0.0002365591/0.0002365592/' "real: 13 compared, 12 equal, 1 different"
plant 's/0.2499995/0.249997/' "real: 13 compared, 12 equal, 1 different"
plant 's/0.000009591/0.000009592/' "real: 13 compared, 12 equal, 1 different"

rm "$work/rates.csv"
expect "SKIPPED: no report of 2018-10 in $work" 0
