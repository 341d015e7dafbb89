#!/bin/bash
# foreign.sh - the same bytes on other processors: the case files, the pricing cases and some random
# worlds, run by qemu on
#   narrow      this program, on an x86-64 without AVX, BMI and their like
#   big-endian  this source, built for s390x with Debian's cross compiler and libraries
#
#     tool/foreign.sh [narrow] [big-endian]      both by default; some ten minutes
#
# Libraries for s390x are unpacked into build/foreign and nowhere else; apt there has lists and
# settings of its own.  What is installed on the machine: qemu-user and the cross compiler.
set -eu -o pipefail
cd "$(dirname "$0")/.."
export PATH=/usr/bin:$PATH
work=$PWD/build/foreign
root=$work/root
seeds=${FARTHING_FOREIGN_SEEDS:-10}

install() {
    # Of a package that the machine has never seen nothing is said at all.
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}\n' "$@" 2>/dev/null | grep -c '^ii')" -lt $# ] || return 0
    local as_root=
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get update -q >/dev/null
    $as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -q --no-install-recommends "$@" >/dev/null
}

# run_all NAME COMMAND...: everything, with a farthing that runs COMMAND.  Cases are left out that need
# a file of $without: DuckDB's library is of this machine, and s390x has none; of descriptors
# qemu takes some itself.
without=()
run_all() {
    local name=$1 of=$work/run-$1
    shift
    mkdir -p "$of/examples"
    printf '#!/bin/sh\nexec %s "$@"\n' "$*" >"$of/farthing"
    chmod +x "$of/farthing"
    cp build/release/examples/bill "$of/examples/"
    cp build/release/CMakeCache.txt "$of/"
    echo "== $name"
    "$of/farthing" test test/pricing | tail -1
    test/run --build "$of" -j "$(nproc)" "${without[@]}" | tail -20
    test/sim/sim_bill.py --farthing "$of/farthing" --seeds "$seeds" --jobs "$(nproc)" | tail -1
}

make_root() {
    [ -f "$root/done" ] && return 0
    rm -rf "$work/apt" "$root"
    mkdir -p "$root" "$work/apt/state/lists/partial" "$work/apt/cache/archives/partial"
    : >"$work/apt/state/status"
    local apt=(apt-get -q -o Dir::State="$work/apt/state" -o Dir::Cache="$work/apt/cache"
        -o Dir::State::status="$work/apt/state/status"
        -o APT::Architecture=s390x -o APT::Architectures=s390x)
    "${apt[@]}" update >/dev/null
    # libc-bin has the locale that widths are measured in.
    "${apt[@]}" install -y --no-install-recommends --download-only libfyaml-dev libgmp-dev \
        libxxhash-dev libzstd-dev zlib1g-dev libssl-dev libsmartcols-dev libc6-dev libgcc-12-dev \
        libc-bin >/dev/null
    for package in "$work"/apt/cache/archives/*.deb; do
        dpkg -x "$package" "$root"
    done
    rm -rf "$work/apt"
    : >"$root/done"
}

build_foreign() {
    cat >"$work/toolchain.cmake" <<-END
		set(CMAKE_SYSTEM_NAME Linux)
		set(CMAKE_SYSTEM_PROCESSOR s390x)
		set(CMAKE_C_COMPILER s390x-linux-gnu-gcc)
		set(CMAKE_SYSROOT $root)
		set(CMAKE_FIND_ROOT_PATH $root)
		set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
		set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
		set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
		set(ENV{PKG_CONFIG_SYSROOT_DIR} $root)
		set(ENV{PKG_CONFIG_LIBDIR} $root/usr/lib/s390x-linux-gnu/pkgconfig)
	END
    cmake -B "$work/s390x" -G Ninja -DCMAKE_BUILD_TYPE=Release -DFARTHING_TESTS=OFF \
        -DCMAKE_TOOLCHAIN_FILE="$work/toolchain.cmake" >/dev/null
    ninja -C "$work/s390x" farthing | tail -1
}

[ $# -gt 0 ] || set -- narrow big-endian
tool/deps.sh test
tool/build.sh release
mkdir -p "$work"
for kind in "$@"; do
    case $kind in
    narrow)
        install qemu-user
        without=(--without /usr/bin/prlimit)
        run_all narrow qemu-x86_64 -cpu qemu64 "$PWD/build/release/farthing"
        ;;
    big-endian)
        install qemu-user gcc-s390x-linux-gnu
        make_root
        build_foreign
        without=(--without /usr/bin/prlimit --without build/bench/libduckdb.so)
        run_all big-endian qemu-s390x -L "$root" "$work/s390x/farthing"
        ;;
    *) echo "usage: foreign.sh [narrow] [big-endian]" >&2 && exit 2 ;;
    esac
done
