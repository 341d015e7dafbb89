#!/bin/bash
# The comparison with a real bill, on an invented one: it holds, and it sees a cost that is off by the last digit, a free
# quantity that is off by three millionths, a line too few, and a quantity that does not add up; of reservations a part of
# a fee that is off by the last digit, hours that are unused elsewhere, and what was covered by another one.
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

plant() { # one change, in which file; what follows
    sed "$1" "test/real/sample/$2_2018-10.csv" >"$work/$2_2018-10.csv"
    ! cmp -s "test/real/sample/$2_2018-10.csv" "$work/$2_2018-10.csv" || { echo "$1 plants nothing" && exit 1; }
    expect "$3" 1
    cp "test/real/sample/$2_2018-10.csv" "$work"
}

# 8 lines of no pool that fills, one of a pool where all is paid or free on both bills; one pool and its four sums. Three
# covered quantities and lines, of four figures, and factors; two reservations, of eight figures.
expect "real: 48 compared, 48 equal, 0 different" 0
grep -q "3 lines were paid by reservations, and 2 are fees of these" "$work/out"
grep -q "free 1, really 0.9999995" "$work/out"
grep -q "R1 .*1486 of  *1488 hours unused" "$work/out"

plant 's/0.0002365591/0.0002365592/' usage "real: 48 compared, 47 equal, 1 different"
plant 's/0.2499995/0.249997/' usage "real: 48 compared, 47 equal, 1 different"
plant 's/0.000009591/0.000009592/' usage "real: 48 compared, 47 equal, 1 different"
plant 's/0.00513699/0.00513698/' ri_usage "real: 48 compared, 47 equal, 1 different"
plant 's/0.0051,/0.0052,/' ri_usage "real: 48 compared, 47 equal, 1 different"
plant 's/0.5,0.5,0.25/0.4,0.5,0.2/' ri_usage "real: 43 compared, 42 equal, 1 different"
plant 's/,R2,/,R1,/' ri_usage "real: 44 compared, 42 equal, 2 different"
plant 's/5.0890411/5.0890412/' ri_fees "real: 48 compared, 47 equal, 1 different"
plant 's/529.5,/529.6,/' ri_fees "real: 48 compared, 47 equal, 1 different"
plant 's/6.2481/6.2482/' ri_fees "real: 48 compared, 47 equal, 1 different"

rm "$work/rates.csv"
expect "SKIPPED: no report of 2018-10 in $work" 0
