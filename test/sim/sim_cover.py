#!/usr/bin/env python3
"""Random hours of reservations and plans against a brute-force allocator: sim_cover.py [--hours N] [--seed S] [--farthing BIN].

The allocator knows no order of rows.  It tries all orders of an hour and keeps the one that is best by what the rules are
for: a commitment is used up as far as it can be; on the owner's rows before those of others; a plan where it saves most,
a reservation where it covers most hours.  Of what is equal in that, the cheaper rate, then the total order comes first.

Each hour is a pricing case, so that farthing and the naive rater are both asked the same: what is covered and what is left
of each row, what is unused of each commitment, what the used part costs."""
import argparse
import collections
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

from exact import plain, quantize
from world import Raw, write_json

ZERO = Fraction(0)
ACCOUNTS = ["A", "B", "C"]
SIZES = {"s": 1, "m": 2, "l": 4, "x": 8}
ALL_ORDERS = 6  # takings of an hour up to which all orders of all of them are tried


class Taking:
    """A commitment and a row that a pass lets meet."""

    def __init__(self, stage, row, weight, value, tie):
        self.stage, self.row, self.weight, self.value, self.tie = stage, row, weight, value, tie


class Hour:
    """Rows, commitments and passes of an hour, and the case that says them."""

    def __init__(self, seed, number):
        self.name = "%s/%d" % (seed, number)
        rng = self.rng = random.Random("cover/" + self.name)
        self.shape = rng.choice(["plans", "plans", "reservations", "reservations", "both"])
        self.skus, self.rows, self.commitments, self.groups = {}, [], [], {}
        self.make_skus()
        self.make_rows()
        self.make_passes()
        self.make_commitments()

    def decimal(self, low, high, digits):
        unit = 10 ** digits
        return Fraction(self.rng.randint(int(low * unit), int(high * unit)), unit)

    def make_skus(self):
        rng = self.rng
        for i in range(rng.randint(1, 5)):
            size = rng.choice(sorted(SIZES))
            listed = self.decimal(0.01, 5, rng.choice([1, 2, 4])) or Fraction(1)
            rates = {}
            for kind in ("narrow", "wide"):
                if rng.random() < 0.8:
                    off = rng.choice([0, 10, 18, 30, 30, 40, 66])
                    rates[kind] = listed * (100 - off) / 100 if rng.random() < 0.7 else self.decimal(
                        0.01, float(listed) * 1.1, 3) or Fraction(1, 100)
            self.skus["vm%d" % i] = {"family": rng.choice("mr"), "factor": SIZES[size], "list": listed, "rates": rates}

    def make_rows(self):
        rng = self.rng
        some = rng.choice([ACCOUNTS, ["A"], ["A", "B"], ["A", "A", "B", "C"]])
        keys = sorted({(account, sku) for account in some for sku in self.skus})
        for account, sku in sorted(rng.sample(keys, min(len(keys), rng.choice([1, 2, 3, 4, 4, 5])))):
            quantity = rng.choice([Fraction(1), Fraction(2), self.decimal(0.1, 4, 1), self.decimal(0.001, 1, 6),
                                   Fraction(rng.randint(1, 3600), 3600).limit_denominator(100)])
            row = {"account": account, "sku": sku, "quantity": quantize(quantity, 9, "half_up"), "zone": rng.choice(["1a", "1b"])}
            self.rows.append(row)
        for number, row in enumerate(self.rows):
            row["resource"] = "i%d" % rng.randint(0, 9) + chr(97 + number)

    def make_passes(self):
        """[(offering, for)]."""
        rng = self.rng
        whom = rng.choice([["own", "shared"]] * 3 + [["own"], ["own", "group"], ["own", "group", "shared"], ["shared"]])
        plans = [(kind, w) for kind in rng.choice([["narrow", "wide"], ["wide"]]) for w in whom]
        leases = [(kind, w) for kind in rng.choice([["zonal", "regional"], ["regional"]]) for w in whom]
        self.passes = {"plans": plans if self.shape != "reservations" else [],
                       "leases": leases if self.shape != "plans" else []}
        if "group" in whom or rng.random() < 0.3:  # what the records of the accounts say
            self.groups = {account: rng.choice(["", "g", "g", "h", None]) for account in ACCOUNTS}

    def make_commitments(self):
        rng = self.rng
        offerings = list(dict.fromkeys(name for steps in self.passes.values() for name, _ in steps))
        for i in range(rng.choice([0, 1, 1, 2, 2, 3])):
            offering = rng.choice(offerings)
            c = {"id": "c%d" % (9 - i if rng.random() < 0.5 else i), "offering": offering, "account": rng.choice(ACCOUNTS + [row["account"] for row in self.rows])}
            if any(other["id"] == c["id"] for other in self.commitments):
                continue
            if rng.random() < 0.4:
                c["from"] = rng.choice(["2025-11-01", "2026-02-01", "2026-09-30"])
            if offering in ("narrow", "wide"):
                c["amount"] = self.decimal(0.001, rng.choice([1, 3, 3, 8]), rng.choice([1, 3, 5])) or Fraction(1)
            else:
                c.update(count=rng.randint(1, 3), hourly=self.decimal(0.01, 1, 4), family=rng.choice("mr"), zone=rng.choice(["1a", "1b"]),
                         factor=SIZES[rng.choice(sorted(SIZES))], type=rng.choice(sorted(self.skus)))
            self.commitments.append(c)

    # ---- what may meet ----

    def capacity(self, c):
        return {"zonal": lambda: Fraction(c["count"]), "regional": lambda: Fraction(c["count"] * c["factor"])}.get(
            c["offering"], lambda: c["amount"])()

    def cost(self, c):
        return c["amount"] if "amount" in c else c["count"] * c["hourly"]

    def takings(self, step):
        """Of each stage (a pass and a commitment, in their order), with whom it may meet."""
        out = []
        ranked = sorted(self.commitments, key=lambda c: (c.get("from", ""), c["id"]))
        for name, whom in self.passes[step]:
            for c in ranked:
                if c["offering"] == name:
                    stage = (len(out), c)
                    out.append([t for t in (self.meet(stage, row, whom) for row in self.rows) if t])
        return out

    def meet(self, stage, row, whom):
        c, sku = stage[1], self.skus[row["sku"]]
        owner, account = self.groups.get(c["account"], ""), self.groups.get(row["account"], "")
        if whom == "own" and row["account"] != c["account"]:
            return None
        if whom != "own" and (owner is None or account is None or (whom == "group" and (owner == "" or owner != account))):
            return None
        place = (row["account"], row["resource"], row["sku"])
        if c["offering"] == "zonal":
            fits = row["sku"] == c["type"] and row["zone"] == c["zone"]
            return Taking(stage, row, Fraction(1), ZERO, place) if fits else None
        if c["offering"] == "regional":
            fits = sku["family"] == c["family"]
            return Taking(stage, row, Fraction(sku["factor"]), Fraction(1), (row["resource"],) + place) if fits else None
        rate = sku["rates"].get(c["offering"])
        return None if rate is None else Taking(stage, row, rate, sku["list"] - rate, (rate,) + place)

    # ---- all orders ----

    def allocate(self):
        """{(commitment, resource): taken}, {commitment: used}."""
        left = {row["resource"]: row["quantity"] for row in self.rows}
        pools = {c["id"]: self.capacity(c) for c in self.commitments}
        taken = collections.defaultdict(Fraction)
        self.tried = 0
        for step in ("leases", "plans"):
            stages = self.takings(step)
            flat = [t for stage in stages for t in stage]
            groups = [flat] if len(flat) <= ALL_ORDERS else stages
            for group in groups:
                _, left, pools, parts = self.best(group, stages, left, pools)
                for key, quantity in parts.items():
                    taken[key] += quantity
        return taken, {c["id"]: self.capacity(c) - pools[c["id"]] for c in self.commitments}

    def best(self, group, stages, left, pools):
        """(how good, what is left of rows, of commitments, what is taken) in the best of all orders, found in exact fractions."""
        best, chosen = None, ()
        for order in itertools.permutations(group):
            self.tried += 1
            worth = self.worth(stages, self.follow(order, left, pools, lambda x: x)[2])
            if best is None or worth > best:
                best, chosen = worth, order
        left, pools, parts = self.follow(chosen, left, pools, quantize)
        taken = collections.defaultdict(Fraction)
        for t, (quantity, _) in parts.items():
            taken[(t.stage[1]["id"], t.row["resource"])] += quantity
        return best, left, pools, taken

    @staticmethod
    def follow(order, left, pools, scale):
        left, pools, parts = dict(left), dict(pools), {}
        for t in order:
            name, resource = t.stage[1]["id"], t.row["resource"]
            quantity, pool = left[resource], pools[name]
            used = scale(quantity * t.weight)
            if used > pool:
                quantity, used = scale(pool / t.weight), pool
            if quantity > 0:
                parts[t] = quantity, used
                left[resource] -= quantity
                pools[name] -= used
        return left, pools, parts

    @staticmethod
    def worth(stages, parts):
        """Stage by stage: how much is used, what that is worth, and which rows have it."""
        return [(sum((parts[t][1] for t in stage if t in parts), ZERO),
                 sum((parts[t][0] * t.value for t in stage if t in parts), ZERO),
                 [parts[t][1] if t in parts else ZERO for t in sorted(stage, key=lambda t: t.tie)]) for stage in stages]

    # ---- the case ----

    def case(self):
        taken, used = self.allocate()
        uses = [{"use": name} for name in ("leases", "plans") if self.passes[name]]
        prices = [{"sku": sku, "steps": uses + [{"rate": plain(body["list"])}]} for sku, body in self.skus.items()]
        table = [[kind, sku, plain(rate)] for sku, body in sorted(self.skus.items()) for kind, rate in sorted(body["rates"].items())]
        steps = {}
        for name, passes in self.passes.items():
            if passes:
                steps[name] = {"cover": {"clock": "hour", "passes": [dict(
                    {"offering": o, "for": w}, **({"order": ["factor", "resource"]} if o == "regional" else {})) for o, w in passes]}}
        plan = {"unit": "amount", "capacity": "commitment.amount", "recurring": "commitment.amount"}
        lease = {"recurring": "commitment.count * commitment.hourly"}
        offerings = {kind: dict(plan, rate='lookup("sp", "%s", sku)' % kind) for kind in ("narrow", "wide")}
        offerings["zonal"] = dict(lease, capacity="commitment.count", eligible="sku == commitment.type && zone == commitment.zone")
        offerings["regional"] = dict(lease, capacity="commitment.count * commitment.factor", weight="factor",
                                     eligible="family == commitment.family")
        named = {o for passes in self.passes.values() for o, _ in passes}
        catalog = {"prices": prices, "steps": steps, "commitments": {k: v for k, v in offerings.items() if k in named},
                   "tables": {"sp": {"keys": ["type", "sku"], "rows": table or [["none", "none", "1"]]}},
                   "products": {"vm": {"skus": {sku: {"attributes": {"family": body["family"], "factor": body["factor"]}}
                                                for sku, body in self.skus.items()}}}}
        return {"case": self.name, "catalog": catalog, "accounts": self.accounts(), "bill": {"from": "2026-10-01T00", "to": "2026-10-01T01"},
                "contracts": [{"commitments": [{k: Raw(plain(v)) if isinstance(v, Fraction) else Raw(v) if isinstance(v, int) else v
                                                for k, v in c.items()}
                                               for c in self.commitments]}] if self.commitments else [],
                "usage": [{"sku": r["sku"], "account": r["account"], "resource": r["resource"], "quantity": plain(r["quantity"]),
                           "dims": {"zone": r["zone"]}} for r in self.rows],
                "expect": self.expected(taken, used)}

    def accounts(self):
        out = [{"id": "org", "children": ACCOUNTS}]
        for account, group in sorted(self.groups.items()):
            if group != "":
                out.append({"id": account, "sharing": {"mode": "none"} if group is None else {"group": group}})
        return out

    def expected(self, taken, used):
        quantities, by_resource = {}, collections.defaultdict(Fraction)
        for (_, resource), quantity in taken.items():
            by_resource[resource] += quantity
        rest = ZERO
        for row in self.rows:
            key, covered = "%(account)s.%(sku)s." % row, by_resource[row["resource"]]
            quantities[key + "covered"] = plain(covered)
            quantities[key + "usage"] = plain(row["quantity"] - covered)
            rest += quantize((row["quantity"] - covered) * self.skus[row["sku"]]["list"])
        expect = {"quantity": quantities, "by_kind": {"usage": plain(rest)}}
        if self.commitments:
            expect["by_kind"]["commitment"] = plain(sum((self.cost(c) for c in self.commitments), ZERO))
            expect["unused"] = {c["id"]: plain(self.capacity(c) - used[c["id"]]) for c in self.commitments}
            expect["effective"] = {c["id"]: plain(quantize(self.cost(c) * used[c["id"]] / self.capacity(c))) for c in self.commitments}
        return expect


def bare(value):
    """Numbers as they are written."""
    if isinstance(value, dict):
        return {key: bare(item) for key, item in value.items()}
    if isinstance(value, list):
        return [bare(item) for item in value]
    return Raw(value) if isinstance(value, int) else value


def against_rater(case):
    """What the naive rater says otherwise."""
    import golden
    return ["%s: expected %s, got %s" % (what, plain(expected), plain(got))
            for what, expected, got in golden.run(json.loads(json.dumps(case))) if expected != got]


def against_farthing(farthing, cases, folder):
    """{name: what farthing says otherwise}."""
    path = os.path.join(folder, "hours.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(write_json(bare(case)) + "\n" for case in cases)
    done = subprocess.run([farthing, "test", "--verbose", path], capture_output=True, text=True, check=False)
    out, name, seen = {}, None, 0
    for line in done.stdout.splitlines():
        if line.startswith("    ") and name is not None:
            out.setdefault(name, []).append(line.strip())
        elif ": " in line and line.split(": ")[0] in ("passed", "failed"):
            result, name = line.split(": ")[0], line.split(": ")[1].split(" ")[0]
            seen += 1
            if result != "passed":
                out.setdefault(name, [result])
    if seen != len(cases):
        out["all"] = ["%d of %d cases were run: %s" % (seen, len(cases), done.stderr.strip()[:500])]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=int, default=1000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--hour", type=int, help="this one alone; shows its case")
    parser.add_argument("--farthing", help="the program; without it the naive rater is asked")
    parser.add_argument("--rater", action="store_true", help="the naive rater too")
    arguments = parser.parse_args()
    numbers = range(arguments.hours) if arguments.hour is None else [arguments.hour]
    start, wrong, counts = time.time(), {}, collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        for chunk in range(0, len(numbers), 1000):
            cases = []
            for number in numbers[chunk:chunk + 1000]:
                hour = Hour(arguments.seed, number)
                cases.append(hour.case())
                counts.update({"orders": hour.tried, "rows": len(hour.rows), "commitments": len(hour.commitments), hour.shape: 1})
                if arguments.hour is not None:
                    print(write_json(bare(cases[-1])))
            if arguments.farthing:
                for name, lines in against_farthing(arguments.farthing, cases, folder).items():
                    wrong.setdefault(name, []).extend("farthing: " + line for line in lines)
            if arguments.rater or not arguments.farthing:
                for case in cases:
                    lines = against_rater(case)
                    if lines:
                        wrong.setdefault(case["case"], []).extend("rater: " + line for line in lines)
    for name, lines in list(wrong.items())[:20]:
        print("%s\n    %s" % (name, "\n    ".join(lines)))
        if "/" in name:
            print("    repeat: test/sim/sim_cover.py --seed %s --hour %s%s" % (*name.rsplit("/", 1), " --farthing " + arguments.farthing
                                                                       if arguments.farthing else ""))
    print("cover: %d hours (%s), %d rows, %d commitments, %d orders tried, %d hours differ; %.0f s" % (
        len(numbers), ", ".join("%d %s" % (counts[s], s) for s in ("plans", "reservations", "both")), counts["rows"],
        counts["commitments"], counts["orders"], len(wrong), time.time() - start))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
