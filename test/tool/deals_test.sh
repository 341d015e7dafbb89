#!/bin/bash
# The deals of examples/deals, and the clouds of examples/clouds, against their calculations and the program; and that a
# figure that drifts is seen, on either side, and one that only one side has.
set -eu
cd "$(dirname "$0")/../.."
export PATH=/usr/bin:$PATH
farthing=${FARTHING:-build/release/farthing}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

test/deals.py --farthing "$farthing"
for cloud in aws:14 azure:4 gcp:3; do
    test/deals.py --farthing "$farthing" --deals "examples/clouds/${cloud%:*}" --least "${cloud#*:}"
done

expect() { # a text that must be said of the changed copy of a deal, and an edit of one of its two files
    rm -rf "$work/deals"
    mkdir "$work/deals"
    cp examples/deals/04-tiered.* "$work/deals"
    sed -i "$2" "$work/deals/$3"
    if cmp -s "examples/deals/$3" "$work/deals/$3"; then
        echo "nothing was changed by $2"
        exit 1
    fi
    if test/deals.py --farthing "$farthing" --deals "$work/deals" --least 1 >"$work/out" 2>&1 ||
        ! grep -qF "$1" "$work/out"; then
        echo "expected '$1' of $2 in $3:"
        cat "$work/out"
        exit 1
    fi
}

expect "total: the case says 971, the calculation 970" 's/total: 970/total: 971/' 04-tiered.yaml
expect "total: the case says 970, the calculation 980" 's/"0.10"/"0.11"/' 04-tiered.py
expect "total: the case says 970, the calculation nothing" '/^print("total"/d' 04-tiered.py
expect "total: the calculation says 970, the case nothing" '/^  total: 970$/d' 04-tiered.yaml
expect "total: expected 970, came 971" 's/up_to: 1000, rate: 0.10/up_to: 1000, flat: 1, rate: 0.10/' 04-tiered.yaml
expect "it fails: ZeroDivisionError" '$a print(1 \/\/ 0)' 04-tiered.py
expect "it does not say why" '/^why:/d' 04-tiered.yaml
