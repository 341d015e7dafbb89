#!/bin/bash
# check_pure.sh BUILD - holds the objects of a build tree against two promises.
#
# Pure (base to bill): no symbol from outside but those of tool/pure_symbols.txt, and no data
# that can be written, so no clock, no file, no environment, no global.
# Exact (the way of money): base/nofloat.h is the last include of each file, and its object has
# no floating-point symbol and no instruction that touches a floating-point register.
# Run on release trees; sanitizers and coverage add symbols of their own.  Prints all offences.
cd "$(dirname "$0")/.." || exit 1
export LC_ALL=C
build=${1:-build/release}
pure='base expr catalog decode usage price bill'
failed=0

offend() {
    echo "check_pure: $*"
    failed=1
}

# By source, since a tree keeps the objects of sources that were removed.
object_of() { echo "$build/CMakeFiles/room_$(basename "$(dirname "$1")").dir/$1.o"; }

pure_objects=
for room in $pure; do
    for source in src/"$room"/*.c; do
        [ -f "$source" ] || continue
        object=$(object_of "$source")
        if [ -f "$object" ]; then
            pure_objects+=" $object"
        else
            offend "$object is not there: build first"
        fi
    done
done
# One is made of files, in the build tree: src/catalog/profiles.
pure_objects+=" $build/CMakeFiles/room_catalog.dir/profiles.c.o"
[ -n "$pure_objects" ] || exit 1

# ---- Pure ----

patterns=()
while read -r pattern; do
    case $pattern in '' | '#'*) ;; *) patterns+=("$pattern") ;; esac
done <tool/pure_symbols.txt

declare -A own
while read -r symbol; do
    own[$symbol]=1
done < <(nm --defined-only $pure_objects | awk 'NF == 3 { print $3 }')

is_allowed() {
    local pattern
    [ -n "${own[$1]-}" ] && return 0
    for pattern in "${patterns[@]}"; do
        [[ $1 == $pattern ]] && return 0
    done
    return 1
}

while read -r object symbol; do
    is_allowed "$symbol" || offend "${object#"$build"/CMakeFiles/}: uses $symbol from outside"
done < <(nm -A -u $pure_objects | sed -E 's/:? +[UwW] / /')

# Sections .data and .bss hold what can be written; tables of pointers in .data.rel.ro are constant.
while read -r object symbol; do
    offend "${object#"$build"/CMakeFiles/}: $symbol can be written: a global"
done < <(nm -A $pure_objects | awk '$2 ~ /^[BbDdCGgSs]$/ { sub(/:.*/, "", $1); print $1, $3 }' |
    while read -r object symbol; do
        section=$(objdump -t "$object" | awk -v symbol="$symbol" '
            $NF == symbol && match($0, /\.[^ \t]+/) { print substr($0, RSTART, RLENGTH); exit }')
        [[ $section == .data.rel.ro* ]] || echo "$object" "$symbol"
    done)

# ---- Exact ----

money_sources=$(ls src/base/decimal.c src/base/decimal_text.c src/base/money.c src/base/calendar.c \
    src/base/zone.c src/expr/*.c src/catalog/*.c src/price/*.c src/bill/*.c 2>/dev/null)
for source in $money_sources; do
    last=$(grep -E '^[[:space:]]*#[[:space:]]*include' "$source" | tail -n 1)
    [[ $last == *'"base/nofloat.h"'* ]] ||
        offend "$source: the last include must be \"base/nofloat.h\", not ${last:-none}"
done

# Double, float and extended helpers of libgcc (__adddf3, __floatsidf ...), and libm's usual names.
float_symbols='^__.*([sdxt]f|[sdt]c)[0-9]?$|^(strto(d|f|ld)|atof|f?(pow|floor|ceil|fmod|sqrt|log|exp|round|trunc)[fl]?)$'
money_objects=0
for source in $money_sources; do
    object=$(object_of "$source")
    [ -f "$object" ] || continue
    money_objects=$((money_objects + 1))
    for symbol in $(nm -u "$object" | awk '{ print $2 }' | grep -E "$float_symbols"); do
        offend "$source: uses $symbol"
    done
    # The old unit's instructions name no register: they are those whose names begin with f.
    objdump -d --no-show-raw-insn "$object" |
        grep -E '%(xmm|ymm|zmm|mm)[0-9]|%st\b|^ *[0-9a-f]+:\s+f[a-z]' | head -n 3 |
        sed "s|^|check_pure: $source: floating-point register: |" | grep . && failed=1
done

[ $failed = 0 ] && echo "check_pure: $(wc -w <<<"$pure_objects") objects of $build are pure," \
    "$money_objects hold no floating point"
exit $failed
