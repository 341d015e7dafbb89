#!/bin/sh
# check_headers.sh - every header compiles alone; farthing.h also as C99 and as C++.
cd "$(dirname "$0")/.." || exit 1
failed=0
warnings='-Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla'
flags="-fsyntax-only -D_POSIX_C_SOURCE=200809L -D_GNU_SOURCE -Isrc -Iinclude
    -isystem build/deps/yyjson $warnings -Werror"

# Through -include, since a header as main file would warn of pragmas and unused statics.
for header in $(find src include -name '*.h'); do
    echo | gcc -x c -std=c2x $flags -include "$header" - || failed=1
done
if [ -f include/farthing.h ]; then
    echo | gcc -x c -std=c99 -pedantic -fsyntax-only -Wall -Wextra -Werror -Iinclude \
        -include include/farthing.h - || failed=1
    echo | g++ -x c++ -std=c++11 -pedantic -fsyntax-only -Wall -Wextra -Werror -Iinclude \
        -include include/farthing.h - || failed=1
fi
[ $failed = 0 ] && echo "check_headers: every header compiles alone"
exit $failed
