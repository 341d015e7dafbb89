#!/bin/bash
# Requests at prices that depend on their size, on an invented table; and that a wrong amount is seen.
set -eu
cd "$(dirname "$0")/../.."
export PATH=/usr/bin:$PATH
farthing=${FARTHING:-build/release/farthing}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

expect() { # the program, what must be in the last line, and the status
    local status=0
    test/real/tokens.py --data test/real/tokens_sample --seed 7 --farthing "$1" >"$work/out" 2>&1 || status=$?
    if ! tail -n 1 "$work/out" | grep -q "$2" || [ $status != "$3" ]; then
        echo "expected '$2' and status $3, got status $status:"
        cat "$work/out"
        exit 1
    fi
}

expect "$farthing" "^tokens: 47 requests, 94 compared, 94 equal, 0 different$" 0
grep -q "4 models, of them 3 with steps (128,000, 200,000, 256,000 tokens); 1 without" "$work/out"

# A bill in which the first line's amount has one more digit.
cat >"$work/wrong" <<EOF
#!/bin/bash
"$(realpath "$farthing")" "\$@"
sed -i '2s/\(,[0-9.]*\)\(,[0-9.]*,[0-9.]*,USD\)/\11\2/' "\${!#}/lines.csv"
EOF
chmod +x "$work/wrong"
expect "$work/wrong" "94 compared, 93 equal, 1 different$" 1
