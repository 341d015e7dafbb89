#!/usr/bin/env python3
"""Percentile, unique and time-weighted meters over very many samples of one account: exact, within a memory limit.

    test/samples/samples.py --farthing build/release/farthing --samples 100000000 --memory 256

The samples come in a file, in an order that jumps about. What they come to is known in closed form:
sample j of n (all j from 0 on, each once) is at start + j x 25 ms, its value is j / 100, its key j mod (n / 4), and its
level j mod 10.

    percentile 95   the least value that 95 % do not exceed: (ceil(0.95 n) - 1) / 100
    unique          n / 4
    time_weighted   0 + ... + 9 = 45 for every ten samples, 25 ms each; the last level, 9, until the month ends

Each is billed in a run of its own, held against that, and the memory that the process took at most is printed.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from csv import DictReader
from fractions import Fraction

START, MONTH = 1790812800, 31 * 86400  # 2026-10-01
CATALOG = """
catalog: samples
currency: USD
csv: {columns: {id: id, time: {to: time, number: true}, n: {to: data.n, number: true}, u: data.u}, constants: {source: s, type: t, subject: a}}
meters:
  m: {event: t, value: %s, grain: month, resource: '"r"'}
prices:
  - {sku: m, steps: [{rate: 1}]}
"""
KINDS = {
    "percentile": "data.n, aggregate: percentile, percentile: 95",
    "unique": "data.u, aggregate: unique",
    "time_weighted": "data.n, aggregate: time_weighted, input: level",
}


def expected(kind, count):
    if kind == "percentile":
        return Fraction(-(-95 * count // 100) - 1, 100)
    if kind == "unique":
        return Fraction(count // 4)
    return 45 * Fraction(count, 10) / 40 + 9 * (MONTH - Fraction(count, 40))


def write(pipe, kind, count):
    """The samples in an order that jumps: j = 7654321 i mod n, which takes each j once."""
    step, keys, at = 7654321, count // 4, 0
    pipe.write(b"id,time,n,u\n")
    for first in range(0, count, 100000):
        lines = []
        for _ in range(min(100000, count - first)):
            j, at = at, (at + step) % count
            second, part = divmod(j, 40)
            value = j % 10 if kind == "time_weighted" else "%d.%02d" % divmod(j, 100)
            lines.append("%d,%d.%03d,%s,k%d\n" % (j, START + second, part * 25, value, j % keys))
        pipe.write("".join(lines).encode())


def run(options, kind, folder):
    for name, text in (("catalog.yaml", CATALOG % KINDS[kind]), ("accounts.csv", "id\na\n")):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    command = [os.path.abspath(options.farthing), "bill", "--catalog", "catalog.yaml", "--accounts", "accounts.csv", "--events", "samples.csv",
               "--period", "2026-10", "--opening", "none", "--out", kind, "--quiet",
               "--memory", "%dMiB" % options.memory]
    with open(os.path.join(folder, "samples.csv"), "wb") as file:
        write(file, kind, options.samples)
    child = subprocess.Popen(command, cwd=folder, env=dict(os.environ, TMPDIR=folder))
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit("%s: exit code %d" % (kind, child.returncode))
    with open(os.path.join(folder, kind, "usage.csv"), newline="", encoding="utf-8") as file:
        rows = list(DictReader(file))
    got = [(Fraction(row["quantity"]), int(row["events"])) for row in rows]
    peak = usage.ru_maxrss / 1024
    print("%-14s %11d samples: %s, %.0f MiB, %.0f s of CPU" % (
        kind, options.samples, rows[0]["quantity"], peak, usage.ru_utime + usage.ru_stime), flush=True)
    if got != [(expected(kind, options.samples), options.samples)]:
        sys.exit("%s: expected %s" % (kind, expected(kind, options.samples)))
    if peak > options.memory and not options.shadow:
        sys.exit("%s: %.1f MiB are more than %d" % (kind, peak, options.memory))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--farthing", default="build/release/farthing")
    parser.add_argument("--samples", type=int, default=100000000)
    parser.add_argument("--memory", type=int, default=256, help="MiB")
    parser.add_argument("--shadow", action="store_true", help="a sanitizer's memory comes on top: do not compare")
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    parser.add_argument("--work", help="where the folder is made; default: the system's temporary one")
    options = parser.parse_args()
    if options.samples % 40 or options.samples * 25 > MONTH * 1000:
        parser.error("--samples must be a multiple of 40 and fit a month at 25 ms")
    for kind in options.kinds:
        with tempfile.TemporaryDirectory(prefix="samples-", dir=options.work) as folder:
            run(options, kind, folder)


main()
