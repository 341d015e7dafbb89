#!/bin/sh
# demo.sh - a sample month, billed and shown; what `make demo` runs.
#
# Installs what is missing, builds, makes a million events of 10,000 accounts, bills them against
# examples/demo/catalog, shows a bill and explains a line of it.  Every command is printed before
# it is run, so that it can be run again by hand.  DEMO_DIR names the folder, default build/demo;
# EVENTS and ACCOUNTS make it larger or smaller.
set -eu
cd "$(dirname "$0")/.."

demo=${DEMO_DIR:-build/demo}
events=${EVENTS:-1M}
accounts=${ACCOUNTS:-10k}
catalog=examples/demo/catalog
farthing=build/release/farthing

say() { printf '\n== %s\n' "$*"; }
run() {
    printf '$ %s\n' "$*"
    "$@"
}

tool/deps.sh build
tool/build.sh release

say "A sample month: $events events of $accounts accounts, doubled and damaged ones too"
mkdir -p "$demo"
run $farthing generate --out "$demo/month" --events "$events" --accounts "$accounts" --force
ls -lh "$demo/month" | awk 'NR > 1 { printf "  %8s  %s\n", $5, $NF }'

say "The catalog: 30 products"
run $farthing check $catalog --accounts "$demo/month/accounts.csv" \
    --accounts "$demo/month/memberships.csv" --accounts "$demo/month/overrides.csv"

say "The bills (the sample has contracts that change in mid-month, of which a warning tells)"
run $farthing bill --catalog $catalog --accounts "$demo/month/accounts.csv" \
    --accounts "$demo/month/memberships.csv" --accounts "$demo/month/overrides.csv" \
    --events "$demo/month/usage.ndjson" --period 2026-10 --opening none --out "$demo/bills" --force

# A bill that fits a screen: the first of 12 to 24 lines over several accounts, with tiers in it.
chosen=$(awk -F , '
    NR > 1 { lines[$1]++; accounts[$1] += !seen[$1, $3]++; if ($14 > 0 && !tier[$1]) tier[$1] = $2 }
    NR > 1 && !known[$1]++ { bills[++count] = $1 }
    END { for (i = 1; i <= count; i++) { bill = bills[i]
        if (lines[bill] >= 12 && lines[bill] <= 24 && accounts[bill] > 1 && tier[bill]) {
            print bill, substr(tier[bill], 1, 8); exit } } }' "$demo/bills/lines.csv")
bill=${chosen% *} line=${chosen#* }
if [ -n "$chosen" ]; then
    say "One of them, an organization's"
    run $farthing show "$demo/bills" "$bill"
    say "Why one of its lines is what it is"
    run $farthing explain "$demo/bills" "$line"
fi

say "Where it lies"
printf '  %-24s %s\n' \
    "$demo/month" "the sample: accounts, memberships, overrides, usage.ndjson" \
    "$catalog" "products, meters, prices" \
    "$demo/bills" "bills.ndjson lines.csv usage.csv exclusions.csv closing.ndjson" \
    "" "dead_letters.ndjson conflicts.ndjson summary.json run.json: see doc/output.md"
say "What to try next"
cat <<END
  all bills:
      $farthing show $demo/bills | less
  a line, down to its events:
      $farthing explain $demo/bills ${line:-LINE} --events $demo/month/usage.ndjson
  what was refused, and why:
      head -n 3 $demo/bills/dead_letters.ndjson
  another price: cp -r $catalog $demo/catalog, edit a rate there, and run the bill again with
  --catalog $demo/catalog, --billed $demo/bills and --out $demo/again:
  what comes out is the difference, to the last digit
  ten events of your own: README.md, quick start
END
