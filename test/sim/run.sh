#!/bin/bash
# run.sh [SEED [OPTION...]] - one simulated month, billed twice and held against the naive rater.
#
# What a failing run printed (make sim-bill SEED=123) is repeated; with --keep its folder stays.
# FARTHING=PATH takes another program than the release build's.
cd "$(dirname "$0")/../.." || exit 1
seed=${1:-1}
shift
exec /usr/bin/python3 test/sim/sim_bill.py --farthing "${FARTHING:-build/release/farthing}" \
    --first "$seed" --seeds 1 --laws -1 "$@"
