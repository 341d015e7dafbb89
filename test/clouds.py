#!/usr/bin/env python3
"""Bills the months of examples/clouds from their files, and holds them against their calculations, figure by figure.

    test/clouds.py --farthing BUILD/farthing

examples/clouds/*/month has records (CSV), contracts (YAML) and usage (NDJSON); month.py beside them works out without Farthing
what they have to come to, and prints a figure a line, as `by_account shop 12.5` or `quantity m5.large.covered 1008`. Amounts
are compared with the exact ones of lines.csv: a bill of a real currency rounds its total.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path

CLOUDS = Path("examples/clouds")
DIGITS = 10  # of a line, before the bill is rounded


def bill(farthing, month, out):
    command = [farthing, "bill", "--catalog", month.parent / "catalog", "--period", "2026-10", "--quiet", "--out", out, "--events", month / "usage.ndjson"]
    for contract in sorted(month.glob("*.yaml")):
        command += ["--catalog", contract]
    for records in sorted(month.glob("*.csv")):
        command += ["--accounts", records]
    subprocess.run(command, check=True)
    with (Path(out) / "lines.csv").open(encoding="utf-8") as lines:
        return [line for line in csv.DictReader(lines) if line["kind"] != "rounding"]


def came(lines, path):
    """What the lines come to of a figure: `total`, `by_x name`, `quantity sku.kind`, `unused id`, `effective id`."""
    if path[0] == "quantity":
        sku, kind = path[1].rsplit(".", 1)
        return sum(Decimal(line["quantity"]) for line in lines if (line["sku"], line["kind"]) == (sku, kind))
    if path[0] == "unused":
        return sum(Decimal(line["quantity"]) for line in lines if (line["kind"], line["grant"]) == ("unused", path[1]))
    if path[0] == "effective":
        return sum(Decimal(line["effective"]) for line in lines if (line["kind"], line["grant"]) == ("covered", path[1]))
    column = path[0].removeprefix("by_")
    return sum(Decimal(line["exact"] or line["amount"]) for line in lines if path[0] == "total" or line[column] == path[1])


def judge(farthing, month):
    """How many figures of a month agree, and what is wrong."""
    figures = subprocess.run([sys.executable, month / "month.py"], capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as out:
        lines = bill(farthing, month, out)
    wrong = []
    for line in figures.splitlines():
        *path, number = line.split()
        expected, found = Decimal(number), came(lines, path)
        if abs(expected - found) > Decimal(1).scaleb(-DIGITS):
            wrong.append(f"{month}: {' '.join(path)}: the calculation says {expected}, the bill {found}")
    return len(figures.splitlines()), wrong


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--farthing", required=True)
    parser.add_argument("--clouds", type=Path, default=CLOUDS)
    options = parser.parse_args()
    months = sorted(options.clouds.glob("*/month"))
    failed = not months
    for month in months:
        count, wrong = judge(options.farthing, month)
        for text in wrong:
            print(text)
        failed = failed or bool(wrong) or count == 0
        print(f"{month}: {count} figures, {len(wrong)} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
