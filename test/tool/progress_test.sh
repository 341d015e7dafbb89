#!/bin/bash
# Progress that goes into a file: a line for each tenth, and every word that is no progress.
set -eu
cd "$(dirname "$0")/../.."
got=$(for i in $(seq 40); do
    echo "[$i/40] Building C object x$i.o"
    [ $i != 7 ] || printf 'FAILED: x7.o\nx7.c:1: error: [1/2] is no C\n'
done | awk -f tool/progress.awk)
expected='  4 of 40
FAILED: x7.o
x7.c:1: error: [1/2] is no C
  8 of 40
  12 of 40
  16 of 40
  20 of 40
  24 of 40
  28 of 40
  32 of 40
  36 of 40
  40 of 40'
[ "$got" = "$expected" ] || { diff <(echo "$expected") <(echo "$got"); exit 1; }
