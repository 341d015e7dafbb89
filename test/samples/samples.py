#!/usr/bin/env python3
"""Percentile, unique and time-weighted meters over very many samples of one account: exact, within a memory limit.

    test/samples/samples.py --farthing build/release/farthing --samples 100000000 --memory 256

The samples come in a file that zstd has packed, or through a pipe, in an order that jumps about. What they come to is known
in closed form: sample j of n (all j from 0 on, each once) is at start + j x 25 ms, its value is j / 100, its key
j mod (n / 4), and its level j mod 10.

    percentile 95   the least value that 95 % do not exceed: (ceil(0.95 n) - 1) / 100
    unique          n / 4
    time_weighted   0 + ... + 9 = 45 for every ten samples, 25 ms each; the last level, 9, until the month ends

Each is billed in a run of its own, held against that, and the memory and temporary files that the process took at most are printed.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from csv import DictReader
from fractions import Fraction

START, MONTH = 1790812800, 31 * 86400  # 2026-10-01
CATALOG = """
catalog: samples
currency: USD
csv:
  columns: {id: id, time: {to: time, number: true}, n: {to: data.n, number: true}, u: data.u, l: {to: data.l, number: true}}
  constants: {source: s, type: t, subject: a}
meters:
  m: {event: t, value: %s, grain: month, resource: '"r"'}
prices:
  - {sku: m, steps: [{rate: 1}]}
"""
KINDS = {
    "percentile": "data.n, aggregate: percentile, percentile: 95",
    "unique": "data.u, aggregate: unique",
    "time_weighted": "data.l, aggregate: time_weighted, input: level",
}


def expected(kind, count):
    if kind == "percentile":
        return Fraction(-(-95 * count // 100) - 1, 100)
    if kind == "unique":
        return Fraction(count // 4)
    return 45 * Fraction(count, 10) / 40 + 9 * (MONTH - Fraction(count, 40))


def write(pipe, count):
    """The samples in an order that jumps: j = 7654321 i mod n, which takes each j once."""
    step, keys, at = 7654321, count // 4, 0
    pipe.write(b"id,time,n,u,l\n")
    for first in range(0, count, 100000):
        lines = []
        for _ in range(min(100000, count - first)):
            j, at = at, (at + step) % count
            second, part = divmod(j, 40)
            whole, cents = divmod(j, 100)
            lines.append("%d,%d.%03d,%d.%02d,k%d,%d\n" % (
                j, START + second, part * 25, whole, cents, j % keys, j % 10))
        pipe.write("".join(lines).encode())
    pipe.close()


def disk_of(pid):
    """Bytes on disk of the files without a name that a process has open."""
    size = 0
    try:
        for fd in os.listdir("/proc/%d/fd" % pid):
            status = os.stat("/proc/%d/fd/%s" % (pid, fd))
            size += status.st_blocks * 512 if status.st_nlink == 0 else 0
    except OSError:
        pass
    return size


def watch(child):
    """Waits for its end; what it used, and its temporary files at their largest."""
    disk = 0
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return usage, disk
        disk = max(disk, disk_of(child.pid))
        time.sleep(0.1)


def run(options, kind, folder):
    out = os.path.join(folder, kind)
    for name, text in (("catalog.yaml", CATALOG % KINDS[kind]), ("accounts.csv", "id\na\n")):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    command = [os.path.abspath(options.farthing), "bill", "--catalog", "catalog.yaml", "--accounts", "accounts.csv",
               "--events", "-" if options.pipe else "samples.csv.zst", "--format", "csv",
               "--period", "2026-10", "--opening", "none", "--out", out, "--quiet", "--memory", "%dMiB" % options.memory]
    reader, writer = os.pipe()
    child = subprocess.Popen(command, cwd=folder, env=dict(os.environ, TMPDIR=folder),
                             stdin=reader if options.pipe else subprocess.DEVNULL)
    os.close(reader)
    if options.pipe and os.fork() == 0:
        write(os.fdopen(writer, "wb"), options.samples)
        os._exit(0)
    os.close(writer)
    usage, disk = watch(child)
    if child.returncode:
        sys.exit("%s: exit code %d" % (kind, child.returncode))
    with open(os.path.join(out, "usage.csv"), newline="", encoding="utf-8") as file:
        rows = list(DictReader(file))
    got = [(Fraction(row["quantity"]), int(row["events"])) for row in rows]
    peak = usage.ru_maxrss / 1024
    print("%-14s%s %11d samples: %s, %.0f MiB of memory, %.1f GB of temporary files, %.0f s of CPU" % (
        kind, " piped" if options.pipe else "", options.samples, rows[0]["quantity"], peak, disk / 1e9,
        usage.ru_utime + usage.ru_stime), flush=True)
    if got != [(expected(kind, options.samples), options.samples)]:
        sys.exit("%s: expected %s" % (kind, expected(kind, options.samples)))
    if peak > options.memory and not options.shadow:
        sys.exit("%s: %.1f MiB are more than %d" % (kind, peak, options.memory))


def make_file(options, folder):
    with open(os.path.join(folder, "samples.csv.zst"), "wb") as file:
        packer = subprocess.Popen(["zstd", "-q", "-1", "-c"], stdin=subprocess.PIPE, stdout=file)
        write(packer.stdin, options.samples)
        if packer.wait():
            sys.exit("zstd: exit code %d" % packer.returncode)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--farthing", default="build/release/farthing")
    parser.add_argument("--samples", type=int, default=100000000)
    parser.add_argument("--memory", type=int, default=256, help="MiB")
    parser.add_argument("--shadow", action="store_true", help="a sanitizer's memory comes on top: do not compare")
    parser.add_argument("--pipe", action="store_true", help="the samples come through standard input")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--work", help="where the folder is made; default: the system's temporary one")
    options = parser.parse_args()
    if options.samples % 40 or options.samples * 25 > MONTH * 1000:
        parser.error("--samples must be a multiple of 40 and fit a month at 25 ms")
    with tempfile.TemporaryDirectory(prefix="samples-", dir=options.work) as folder:
        if not options.pipe:
            make_file(options, folder)
        for kind in options.kinds:
            run(options, kind, folder)


main()
