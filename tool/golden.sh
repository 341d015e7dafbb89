#!/bin/sh
# golden.sh - runs the worked cases of other systems that are handed over beside the tree, and says by family
# of models how many pass and fail.
set -eu
cd "$(dirname "$0")/.."

program=${FARTHING:-build/release/farthing}
folder=${GOLDEN:-../shared/golden}
files=
for name in models cloud; do
    if [ -f "$folder/$name.language.jsonl" ]; then
        files="$files $folder/$name.language.jsonl"
    else
        echo "SKIPPED: no $folder/$name.language.jsonl here"
    fi
done
[ -n "$files" ] || exit 0

report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
# shellcheck disable=SC2086 # a list of files
"$program" test --verbose $files >"$report" || status=$?

# A case is "result: name (file:line)", what is said about it follows, indented.  A family is a name up to its first dash.
awk '
/^(passed|failed): / {
    result = $0
    sub(/:.*/, "", result)
    name = $0
    sub(/^[a-z]*: /, "", name)
    family = name
    sub(/[- ].*/, "", family)
    file = name
    sub(/.*\//, "", file)
    sub(/\.language.*/, "", file)
    family = file "/" family
    if (!(family in seen)) {
        seen[family] = 1
        order[++count] = family
    }
    number[family, result]++
    total[result]++
    if (result == "failed") {
        print
    }
    next
}
/^    / {
    print
}
END {
    if (total["failed"] > 0) {
        print ""
    }
    printf "%-18s %7s %7s\n", "family", "passed", "failed"
    for (i = 1; i <= count; i++) {
        f = order[i]
        printf "%-18s %7d %7d\n", f, number[f, "passed"], number[f, "failed"]
    }
    printf "\n%d passed, %d failed\n", total["passed"], total["failed"]
}
' "$report"
exit "$status"
