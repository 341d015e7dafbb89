#!/usr/bin/env python3
"""farthing diff of two made-up months whose discounts and tax are known: each row's reasons against a calculation by hand.

    diff_terms.py --farthing PROGRAM [--seeds N] [--first N]

What a percentage takes of a base that moved from a to b is old x (b - a), for the reasons of that, and (new - old) x b for its own.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

SKUS = "abc"
TERMS = {"deal": "contract k: deal", "spring": "catalog: spring", "vat": "catalog: vat"}
REASONS = ("usage", "price_version", "step", "term", "currency_rate", "other_bill")
CATALOG = """catalog: shop
currency: USD
rounding: exact
csv: {{columns: {{n: {{to: data.n, number: true}}}}, constants: {{source: s, subject: m}}}}
meters: {{a: {{value: data.n}}, b: {{value: data.n}}, c: {{value: data.n}}, {other}: {{value: data.n}}}}
accounts: [{{id: m}}]
prices:
{prices}terms: [{{discount: {{name: spring, percent: {spring}}}}}, {{tax: {{name: vat, percent: {vat}}}}}]
contracts: [{{id: k, buyer: m, terms: [{{discount: {{name: deal, percent: {deal}}}}}]}}]
"""


def make_month(rng):
    return {"rate": {sku: rng.randint(1, 9) for sku in SKUS}, "n": {sku: rng.randint(1, 50) for sku in SKUS},
            "deal": rng.choice([5, 10, 15]), "spring": rng.choice([7, 10, 20]), "vat": rng.choice([16, 19, 20])}


def bill(program, folder, name, month):
    prices = "".join(f"  - {{sku: {sku}, steps: [{{rate: {month['rate'][sku]}}}]}}\n" for sku in SKUS)
    percents = {term: month[term] for term in TERMS}
    (folder / f"{name}.yaml").write_text(CATALOG.format(other="other_" + name, prices=prices, **percents))
    rows = "".join(f"{sku},{sku},2026-10-05T00:00:00Z,{month['n'][sku]}\n" for sku in SKUS)
    (folder / f"{name}.csv").write_text("id,type,time,n\n" + rows)
    subprocess.run([program, "bill", "--catalog", f"{name}.yaml", "--events", f"{name}.csv", "--period", "2026-10",
                    "--out", name, "--quiet"], cwd=folder, check=True)


def expect(old, new, changed):
    """The reasons of each row that moves: of usage or of the price, and of which terms."""
    rows = {}
    for sku in SKUS:
        net = [Fraction(month["n"][sku] * month["rate"][sku]) for month in (old, new)]
        reasons = {reason: Fraction(0) for reason in REASONS}
        if "n" in changed:
            reasons["usage"] = net[1] - net[0]
        elif "rate" in changed:
            reasons["price_version"] = net[1] - net[0]
        rows[sku, ""] = reasons
        for term, name in TERMS.items():
            sign = 1 if term == "vat" else -1
            part = [sign * Fraction(month[term], 100) for month in (old, new)]
            moved = {reason: part[0] * amount for reason, amount in reasons.items()}
            moved["term"] += (part[1] - part[0]) * net[1]
            rows[sku, name] = moved
            reasons = {reason: reasons[reason] + moved[reason] for reason in REASONS}
            net = [net[side] * (1 + part[side]) for side in (0, 1)]
    return {key: row for key, row in rows.items() if sum(row.values())}


def compare(program, seed):
    rng = random.Random(seed)
    old, new = make_month(rng), make_month(rng)
    changed = rng.choice([["n"], ["rate"], ["deal"], ["spring"], ["vat"], ["deal", "n"], ["spring", "n"], ["vat", "n"],
                          ["deal", "vat"], ["deal", "spring", "vat", "rate"]])
    new = {**old, **{what: new[what] for what in changed}}
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        bill(program, folder, "old", old)
        bill(program, folder, "new", new)
        out = subprocess.run([program, "diff", "old", "new", "--json"], cwd=folder, check=True, capture_output=True)
    wanted = expect(old, new, changed)
    told = {(row["sku"], row["made_by"]): row for row in json.loads(out.stdout)["moved"]}
    wrong = [f"{key} moves on one side only" for key in wanted.keys() ^ told.keys()]
    really = {TERMS[term] for term in TERMS if old[term] != new[term]}
    for key in wanted.keys() & told.keys():
        got = {reason: Fraction(told[key][reason]) for reason in REASONS}
        if any(abs(got[reason] - wanted[key][reason]) > Fraction(1, 10**9) for reason in REASONS):
            wrong.append(f"{key}: {got}, not {wanted[key]}")
        names = set(filter(None, told[key]["terms"].split(", ")))
        if not names <= really or bool(names) != bool(wanted[key]["term"]):
            wrong.append(f"{key}: names {names}, of {really}")
    return len(told), wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--farthing", required=True)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    program, rows, failed = str(Path(options.farthing).resolve()), 0, 0
    for seed in range(options.first, options.first + options.seeds):
        count, wrong = compare(program, seed)
        rows += count
        failed += bool(wrong)
        for text in wrong:
            print(f"seed {seed}: {text}")
    print(f"seeds {options.seeds}, rows {rows}, seeds that differ {failed}")
    return 1 if failed or rows == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
