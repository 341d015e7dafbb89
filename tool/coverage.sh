#!/bin/bash
# coverage.sh - runs the suite on a tree that counts, and prints the lines reached by file.
cd "$(dirname "$0")/.." || exit 1
export PATH=/usr/bin:$PATH
tool/deps.sh test && tool/build.sh coverage || exit 1
find build/coverage -name '*.gcda' -delete
ctest --test-dir build/coverage -j "$(nproc)" --output-on-failure >build/coverage/ctest.log 2>&1 ||
    tail -n 20 build/coverage/ctest.log
test/run --build build/coverage >build/coverage/cases.log 2>&1 || tail -n 20 build/coverage/cases.log

cd build/coverage || exit 1
# By .gcno, so that a file no test has reached is listed with nothing.
find CMakeFiles -name '*.gcno' -path '*/src/*' -exec gcov --json-format --stdout {} + 2>/dev/null |
    python3 -c '
import json, os, sys

root = os.path.realpath("../..") + "/"
hits = {}  # file -> line -> count; a header is counted in every object that includes it
for text in sys.stdin:
    for file in json.loads(text)["files"]:
        name = os.path.realpath(file["file"]).removeprefix(root)
        if name.startswith("src/"):
            lines = hits.setdefault(name, {})
            for line in file["lines"]:
                number = line["line_number"]
                lines[number] = lines.get(number, 0) + line["count"]

def show(name, lines):
    reached = sum(count > 0 for count in lines)
    print(f"{reached:7} of {len(lines):6} lines  {100 * reached / max(1, len(lines)):5.1f} %  {name}")

for name in sorted(hits):
    show(name, hits[name].values())
show("all", [count for lines in hits.values() for count in lines.values()])
'
