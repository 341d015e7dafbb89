#!/bin/bash
# install_test.sh - a program with all functions of farthing.h, made as the head of
# examples/bill.c says: what is installed, farthing.pc too, has what each of them needs, and no
# name besides.
set -eu
cd "$(dirname "$0")/../.."
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cmake --install "$BUILD" --prefix "$tree/usr" >/dev/null
PKG_CONFIG_PATH=$(dirname "$(find "$tree/usr" -name farthing.pc)")
export PKG_CONFIG_PATH
{
    printf '#include <farthing.h>\nvoid *all[] = {\n'
    # The name of each function that is declared; a pointer to one has it in brackets.
    sed -n 's/^\(enum [a-z_]*\|struct [a-z_]* \*\|void\|const char \*\) *\(farthing_[a-z]*\)(.*/    (void *)\2,/p' \
        "$tree/usr/include/farthing.h"
    printf '};\nint main(void)\n{\n    farthing_free(farthing_new(0));\n    return all[0] ? 0 : 1;\n}\n'
} >"$tree/all.c"
[ "$(grep -c '(void \*)farthing_' "$tree/all.c")" -ge 14 ] || { cat "$tree/all.c" && exit 1; }
read -ra flags <<<"$(pkg-config --cflags --libs --static farthing)"
"$CC" "$tree/all.c" "${flags[@]}" -o "$tree/all"
"$tree/all"

# A program may have an arena_free and a yyjson of its own: the library has no other names.
library=$(find "$tree/usr" -name libfarthing.a)
others=$(nm --defined-only -g "$library" | awk 'NF == 3 { print $3 }' | grep -v -x -F \
    "$(sed -n 's/^    (void \*)\(.*\),/\1/p' "$tree/all.c")" || true)
[ -z "$others" ] || { printf 'not a name of farthing.h: %s\n' "$others" && exit 1; }
