#!/bin/sh
# run.sh [PART...] - `make bench`: speed and size, with figures; parts: truth ndjson csv segments memory lines scale size cover expr shapes.
# All by default.
#
# What is fetched and generated lies in BENCH_DIR (default build/bench) and is kept.  QUICK=1 takes
# one million events and one round instead of ten million and three.  FARTHING names the program.
set -eu
cd "$(dirname "$0")/.."

exec env PYTHONDONTWRITEBYTECODE=1 python3 bench/bench.py \
    --farthing "${FARTHING:-build/release/farthing}" --folder "${BENCH_DIR:-build/bench}" \
    ${QUICK:+--quick} "$@"
