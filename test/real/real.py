#!/usr/bin/env python3
"""A real bill, billed again: real.py --data DIR --month 2018-10 --farthing build/release/farthing

Reads a month of a provider's cost and usage report, makes a catalog of the rates on it and of its reservations, and events
that say no more than account, hour, usage type, operation, resource and amount; bills them with `farthing bill`; and
compares what comes out with what the provider billed, digit for digit.

Lines are compared one by one, but for what reservations may cover: which resource of an account and SKU they covered in
an hour is the provider's secret, so that is compared as one, and cover_comparison.py compares what they covered, cost
and left unused.  Likewise the free part of pools that fill: which line of a month got it is a secret too.  Of such a
pool the free quantity must be equal within 2e-6 of a unit (the report has ten digits), free and paid together exactly
for each account and SKU, and each line that got as much of it on both bills must cost the same.  Ends with
`real: C compared, E equal, D different`; the status is 1 when D > 0."""
import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal

from cost_report import Report, report_is_there
from cover_comparison import (Covers, compare_covers, compare_reservations, hour_of, is_of_reservations,
                              print_reservations)
from price_list import TENTH_DIGIT, PriceList, hour_start, month_of, plain, written
from reservations import Reservations

FREE_MARGIN = Decimal("0.000002")
SHOWN_MAX = 20


class Comparison:
    def __init__(self):
        self.compared = self.equal = 0

    def hold(self, same, what, *values):
        self.compared += 1
        if same:
            self.equal += 1
        elif self.different <= SHOWN_MAX:
            print("DIFFERENT: " + what % values)

    @property
    def different(self):
        return self.compared - self.equal


def usage_of(report):
    """The lines as usage: what is split into parts that reservations paid and one that they did not is one amount."""
    merged, covered = {}, {line.key for line in report.covered_lines}
    for line in report.lines + report.covered_lines:
        if line.key in covered:
            merged[line.key] = (line, merged[line.key][1] + line.amount if line.key in merged else line.amount)
    usage = [(line, line.amount_text) for line in report.lines if line.key not in covered]
    return usage + [(line, plain(amount)) for line, amount in merged.values()]


def write_events(path, report):
    with open(path, "w", encoding="utf-8") as file:
        for number, (line, amount_text) in enumerate(usage_of(report), 1):
            data = {"usage_type": line.usage_type, "operation": line.operation, "resource": line.resource}
            event = {"specversion": "1.0", "id": str(number), "source": "report", "type": "usage",
                     "subject": line.account, "time": written(hour_start(line.hour)), "data": data}
            text = json.dumps(event, separators=(",", ":"))
            file.write('%s,"amount":%s}}\n' % (text[:-2], amount_text))  # the number as it was written


def bill(farthing, folder, report, prices, with_upfront):
    catalog, out = (os.path.join(folder, name + ("" if with_upfront else "_without")) for name in ("catalog", "out"))
    os.mkdir(catalog)
    prices.write(catalog, report.accounts, with_upfront)
    command = [farthing, "bill", "--catalog", catalog, "--period", report.month,
               "--events", os.path.join(folder, "usage.ndjson"), "--opening", "none", "--out", out, "--force"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit("%s\n%s%s" % (" ".join(command), run.stdout, run.stderr))
    with open(os.path.join(out, "lines.csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Ours:
    """The lines of our bill for one (account, SKU, resource, hour)."""

    def __init__(self):
        self.quantity = self.free = self.amount = Decimal(0)


def key_of(prices, account, sku, resource, hour):
    return account, sku, "" if prices.reservations.may_cover(sku) else resource, hour


def gather(rows, prices):
    ours, rounding = defaultdict(Ours), Decimal(0)
    for row in rows:
        if row["kind"] == "rounding":  # of the total, to cents
            rounding += Decimal(row["amount"])
            continue
        if is_of_reservations(row, prices.reservations):
            continue
        line = ours[key_of(prices, row["account"], row["sku"], row["resource"], hour_of(row))]
        quantity = Decimal(row["quantity"])
        line.quantity += quantity
        line.amount += Decimal(row["amount"])
        if row["step"] != "rate":
            line.free += quantity
    return ours, rounding


def compare_pools(result, report, prices, ours):
    """The free quantity of each pool that fills, and free and paid together."""
    free, both, theirs, theirs_both = (defaultdict(Decimal) for _ in range(4))
    filled = {name for name, pool in prices.pools.items() if pool.is_filled}
    for (account, sku, _, _), line in ours.items():
        pool = prices.pool_of.get(sku)
        if pool and pool.name in filled:
            free[pool.name] += line.free
            both[account, sku] += line.quantity
    for line in report.lines:
        pool = prices.pool_of.get(line.sku)
        if pool and pool.name in filled:
            theirs[pool.name] += line.amount if line.is_free else 0
            theirs_both[line.account, line.sku] += line.amount
    print("pools that fill:")
    for name in sorted(filled):
        pool = prices.pools[name]
        print("  %-58.58s size %-7s (%s): free %s, really %s" % (
            pool.title, plain(pool.size), pool.source,
            plain(free[name]), plain(theirs[name])))
        result.hold(abs(free[name] - theirs[name]) <= FREE_MARGIN, "%s: free %s, really %s", name, free[name],
                    theirs[name])
    for key in sorted(set(both) | set(theirs_both)):
        result.hold(both[key] == theirs_both[key], "%s %s: free and paid %s, really %s", *key, both[key],
                    theirs_both[key])
    return filled


def compare_lines(result, report, prices, ours, filled):
    """Line by line; of pools that fill only where the free quantity fell on the same lines."""
    theirs, elsewhere = defaultdict(list), defaultdict(int)
    for line in report.lines:
        theirs[key_of(prices, *line.key)].append(line)
    for key in sorted(set(theirs) | set(ours)):
        if key not in theirs or key not in ours:
            result.hold(False, "%s %s resource %s hour %s: only on %s bill", *key,
                        "our" if key in ours else "the real")
            continue
        lines, line = theirs[key], ours[key]
        pool = prices.pool_of.get(key[1])
        if pool and pool.name in filled and line.free != sum(one.amount for one in lines if one.is_free):
            elsewhere[pool.name] += len(lines)
            continue
        cost = sum(one.cost for one in lines)
        quantity = sum(one.amount for one in lines)
        result.hold(line.amount == cost and line.quantity == quantity,
                    "%s %s resource %s hour %s: %s for %s, really %s for %s", *key, line.amount, line.quantity, cost,
                    quantity)
    for name in sorted(elsewhere):
        print("  %-58.58s %d lines had the free quantity on one of the bills only" % (prices.pools[name].title,
                                                                                     elsewhere[name]))


def print_totals(report, prices, ours, covers):
    product_of = {sku: product for product, skus in prices.products.items() for sku in skus}
    totals = defaultdict(lambda: [0, Decimal(0), Decimal(0)])
    for line in report.lines + report.covered_lines + report.fee_lines:
        for what in (("", line.product), ("account ", line.account), ("", "total")):
            totals[what][0] += 1
            totals[what][2] += line.cost
    for (account, sku, _, _), line in ours.items():
        for what in (("", product_of[sku]), ("account ", account), ("", "total")):
            totals[what][1] += line.amount
    for one in prices.reservations.items:
        for what in (("", one.fee_line.product), ("account ", one.account), ("", "total")):
            totals[what][1] += covers.fees[one.id].charged.quantize(TENTH_DIGIT, ROUND_HALF_UP)
    print("%-24s %8s %18s %18s %16s" % ("", "lines", "ours", "real", "difference"))
    order = sorted(totals, key=lambda what: (what[1] == "total", what))
    for what in order:
        lines, mine, real = totals[what]
        print("%-24s %8d %18s %18s %16s" % ("".join(what), lines, plain(mine), plain(real), plain(mine - real)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--month", default="2018-10")
    parser.add_argument("--farthing", default="build/release/farthing")
    parser.add_argument("--keep", help="a new folder for catalog, events and bill")
    arguments = parser.parse_args()
    if not report_is_there(arguments.data, arguments.month):
        print("SKIPPED: no report of %s in %s" % (arguments.month, arguments.data))
        return 0

    report = Report(arguments.data, arguments.month)
    reservations = Reservations(report, *month_of(report.month))
    prices = PriceList(report, reservations)
    with tempfile.TemporaryDirectory(prefix="farthing-real-") as folder:
        if arguments.keep:
            folder = arguments.keep
            os.makedirs(folder)
        write_events(os.path.join(folder, "usage.ndjson"), report)
        rows = bill(arguments.farthing, folder, report, prices, True)
        rows_without = bill(arguments.farthing, folder, report, prices, False) if reservations.items else []
    ours, rounding = gather(rows, prices)
    covers = Covers(reservations, rows, rows_without)

    result = Comparison()
    count = len(report.lines) + len(report.covered_lines) + len(report.fee_lines) + sum(report.others.values())
    print("%s: %d lines of %d accounts, %d SKUs, %d pools, %d reservations" % (
        report.month, count, len(report.accounts), len(prices.prices), len(prices.pools), len(reservations.items)))
    print("  %d lines were paid by reservations, and %d are fees of these" % (
        len(report.covered_lines), len(report.fee_lines)))
    for kind in sorted(report.others):
        print("  %d lines of type %s are no usage: left out" % (report.others[kind], kind))
    if prices.spot_lines:
        print("  %d spot lines have no rate: %d prices of a usage type, zone and hour were found in their costs" % (
            prices.spot_lines, prices.spot_hours))
    for complaint in prices.complaints:
        print("  no price list says this: " + complaint)
    if reservations.items:
        print_reservations(reservations, covers, plain)
        compare_covers(result, report, reservations, covers)
        compare_reservations(result, reservations, covers)
    filled = compare_pools(result, report, prices, ours)
    compare_lines(result, report, prices, ours, filled)
    print()
    print_totals(report, prices, ours, covers)
    print("(not in ours: %s, the rounding of the total to cents.  Products with a pool that fills differ by where its free"
          "\nquantity went: usage types of one pool have different rates.)\n" % plain(rounding))
    if result.different > SHOWN_MAX:
        print("... and %d more" % (result.different - SHOWN_MAX))
    print("real: %d compared, %d equal, %d different" % (result.compared, result.equal, result.different))
    return 1 if result.different else 0


if __name__ == "__main__":
    sys.exit(main())
