#!/bin/bash
# lint_test.sh - a check that cannot fail is no check: plants offences in a small tree of its
# own and asks that each is named, and that a clean tree passes.
cd "$(dirname "$0")/../.." || exit 1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/src/{base,expr,decode,usage,price,render,feed,engine,inspect,exchange,cases,cli} "$tree/include"
cp -r tool "$tree"
cp src/base/nofloat.h "$tree/src/base"
cd "$tree" || exit 1
failed=0

# Compiles as the money rooms are, but without -mgeneral-regs-only: here the objects are checked.
build() {
    local source
    rm -rf build
    for source in src/*/*.c; do
        room=$(basename "$(dirname "$source")")
        mkdir -p "build/CMakeFiles/room_$room.dir/src/$room"
        gcc -O2 -fPIE -fvisibility=hidden -D_GNU_SOURCE -Isrc -c "$source" -o "build/CMakeFiles/room_$room.dir/$source.o" ||
            failed=1
    done
}

plant() {
    cat >"$1"
}

expect() {
    local name=$1 pattern=$2 output status
    shift 2
    output=$("$@" 2>&1)
    status=$?
    if [ -z "$pattern" ]; then
        [ $status = 0 ] && return
    elif [ $status != 0 ] && grep -qE "$pattern" <<<"$output"; then
        return
    fi
    echo "$name: expected '${pattern:-success}', got status $status and: $output"
    failed=1
}

# $1: what it is. $2: the offence that must be named. Source of src/price/one.c on standard input.
pure() {
    plant src/price/one.c
    build
    expect "$1" "$2" tool/check_pure.sh build
}

pure clean '' <<'END'
#include <string.h>
#include "base/nofloat.h"
static const char *const names[] = {"a", "b"};
const char *const OTHER_NAMES[] = {"a", "b"};
unsigned long price(int i) { return strlen(names[i]); }
END
pure clock 'uses time from outside' <<'END'
#include <time.h>
#include "base/nofloat.h"
long price(void) { return time(NULL); }
END
pure environment 'uses getenv from outside' <<'END'
#include <stdlib.h>
#include "base/nofloat.h"
char *price(void) { return getenv("TZ"); }
END
pure file 'uses open from outside' <<'END'
#include <fcntl.h>
#include "base/nofloat.h"
int price(void) { return open("x", 0); }
END
pure 'global' 'count can be written' <<'END'
#include "base/nofloat.h"
static int count;
int price(void) { return ++count; }
END
pure 'global with a value' 'count can be written' <<'END'
#include "base/nofloat.h"
int count = 3;
int price(void) { return ++count; }
END
pure 'global of a thread' 'count can be written' <<'END'
#include "base/nofloat.h"
static _Thread_local int count;
int price(void) { return ++count; }
END
pure 'include after nofloat.h' 'the last include must be' <<'END'
#include "base/nofloat.h"
#include <string.h>
int price(void) { return 1; }
END
pure 'no nofloat.h' 'the last include must be' <<'END'
int price(void) { return 1; }
END
pure 'vector register' 'floating-point register' <<'END'
#include "base/nofloat.h"
int price(int i) { return (int)(i * 1.5); }
END
pure 'x87 register' 'floating-point register' <<'END'
#include "base/nofloat.h"
__typeof__(1.0l) price(int i) { return i * 1.5l; }
END
pure 'float helper' 'uses __.*tf' <<'END'
#include "base/nofloat.h"
int price(int i) { return (int)(i * 1.5q); }
END
rm -r build
expect 'nothing was built' 'build first' tool/check_pure.sh build

# $1: including file. $2: included. $3: offence, empty when it is right.
layer() {
    plant "$1" <<<"#include \"$2\""
    expect "$1 includes $2" "$3" tool/check_layers.sh
    rm "$1"
}
layer src/price/a.h base/x.h ''
layer src/usage/a.h decode/x.h ''
layer src/decode/a.h usage/x.h 'src/decode/a.h:1: .*below'
layer src/base/a.c expr/x.h 'src/base/a.c:1: .*below'
layer src/price/a.c engine/x.h 'src/price/a.c:1: .*below'
layer src/feed/a.c render/x.h 'src/feed/a.c:1: .*below'
layer src/render/a.c feed/x.h 'src/render/a.c:1: .*below'
layer src/engine/a.c feed/x.h ''
layer src/engine/a.c farthing.h ''
layer src/inspect/a.c engine/x.h ''
layer src/exchange/a.c farthing.h ''
layer src/engine/a.c inspect/x.h 'src/engine/a.c:1: .*below'
layer src/exchange/a.c cases/x.h 'src/exchange/a.c:1: .*below'
layer src/cases/a.c inspect/x.h 'src/cases/a.c:1: .*below'
layer src/price/a.c farthing.h 'above'
layer src/engine/a.c cli/x.h 'below'
layer src/cli/a.c farthing.h ''
layer src/cli/a.c cli/x.h ''
layer src/cli/a.c base/nearest.h ''
layer src/cli/a.c base/x.h 'farthing.h alone'
layer src/cli/a.c engine/x.h 'farthing.h alone'
layer src/price/a.c x.h 'not written from src/'
layer src/price/a.c ../base/x.h 'not written from src/'
layer include/farthing.h base/x.h 'public header'

plant src/base/a.h <<<'size_t length(void);'
expect 'a header that needs another' 'size_t' tool/check_headers.sh
plant src/base/a.h <<<'#include <stddef.h>
size_t length(void);'
expect 'a header that compiles alone' '' tool/check_headers.sh

[ $failed = 0 ] && echo "every planted offence was named"
exit $failed
