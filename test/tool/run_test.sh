#!/bin/bash
# run_test.sh - holds test/run itself to its word, on a small tree with a program of two lines.
cd "$(dirname "$0")/../.." || exit 1
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree"/{test/case,doc,build,examples}
cp test/run "$tree/test"
cd "$tree" || exit 1
printf '#!/bin/sh\nprintf "%%s\\n" "$@"\nexit 3\n' >build/farthing
chmod +x build/farthing
echo CMAKE_BUILD_TYPE:STRING=Release >build/CMakeCache.txt
echo data >examples/file.txt
failed=0

# $1: what it is. $2: the closing line. $3: a pattern that must be in the output. Case on input.
run() {
    cat >"${file:-test/case/one.case}"
    local output
    output=$(LC_ALL=C test/run --build build "${@:4}" 2>&1)
    local status=$?
    if [ "$(tail -n 1 <<<"$output")" != "$2" ] || ! grep -qF -- "$3" <<<"$output" ||
        { [[ $2 == *' 0 failed'* ]] && [ $status != 0 ]; } ||
        { [[ $2 != *' 0 failed'* ]] && [ $status = 0 ]; }; then
        printf '%s: status %s\n%s\n' "$1" $status "$output"
        failed=1
    fi
}

run 'as expected' '1 passed, 0 failed' '' <<'END'
# Files of all three kinds, both streams, an exit code, a line that looks like a command.
--- a/text
\$ x

--- binary base64
AP8=
--- large generate: b"x" * 100000
$ cat a/text
\$ x

$ cat binary; wc -c < large
\x00\xff100000
$ echo out; echo err >&2
out
err
$ farthing '--- a b'  # exit 3
\--- a b
$ echo ${LC_ALL-unset} $(cat) \
    and more
unset and more
$ kill -9 $$  # exit 137

END
run 'other output' '0 passed, 1 failed' '-b' <<'END'
$ echo a
b
END
run 'output missing' '0 passed, 1 failed' '+a' <<'END'
$ echo a
END
run 'a blank line more' '0 passed, 1 failed' '' <<'END'
$ echo a
a

$ true
END
run 'no newline' '0 passed, 1 failed' '(no newline at the end)' <<'END'
$ printf a
a
END
run 'other exit code' '0 passed, 1 failed' '# exit 3' <<'END'
$ farthing a
a
END
run 'no command' '0 passed, 1 failed' 'no command' <<'END'
--- a
b
END
run 'leaves its folder' '0 passed, 1 failed' 'leaves the folder' <<'END'
--- ../a
b
$ true
END
run 'needs what is not there' '0 passed, 0 failed, 1 skipped' '../nowhere' <<'END'
# needs ../nowhere
$ false
END
run 'another build type' '0 passed, 0 failed, 1 skipped' 'Asan' <<'END'
# only Asan
$ false
END
run 'nothing chosen' '0 passed, 0 failed' '' two <<'END'
$ false
END
run 'rewriting' '1 passed, 0 failed' 'rewritten' --rewrite <<'END'
# Kept.
$ farthing '$ a'  # exit 1
b
$ echo c  # exit 2
$ echo d
e
END
diff - test/case/one.case <<'END' || failed=1
# Kept.
$ farthing '$ a'  # exit 3
\$ a
$ echo c
c
$ echo d
d
END
rm test/case/one.case

file=doc/page.md
run 'a page' '2 passed, 0 failed' '' <<'END'
```json file=a.json
{}
```
```console
$ cat a.json examples/file.txt; touch b
{}
data
$ seq 100
1
...
100
```
```console continue
$ ls
a.json
b
examples
```
```console
$ ls
examples
```
```console skip
$ false
```
END
run 'a page that lies' '0 passed, 1 failed' 'doc/page.md:1' <<'END'
```console
$ seq 100
1
...
99
```
END

[ $failed = 0 ] && echo "test/run keeps its word"
exit $failed
