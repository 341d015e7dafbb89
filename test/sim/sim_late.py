#!/usr/bin/env python3
"""What a late event changes where commitments cover rows: sim_late.py [--cases N] [--farthing BIN].

Small random organizations with reservations, plans, shared tiers and free units, discounts, support, credits and tax.  Each
is billed without one event, then with it.  Only these may differ: what is covered in the turn of the cover that the event lies
in, and what is left of its rows; from that turn on, which tiers the rows of the same tiers lie in (not how much of a row
is left); what terms make of it.  Covers of other turns, fees, rows before that turn and of other steps stay as they were."""
import argparse
import collections
import json
import os
import random
import shutil
import sys
import tempfile
import time

import times
import usage as usage_room
from exact import num, plain
from rater import Bill
from setting import Setup
from world import Raw, write_json

PERIOD = "2026-10-01/2026-10-04"
START = times.parse_period(PERIOD)[0]
TERMS = ("discount", "markup", "fee", "credit", "tax", "minimum", "cap")
Key = collections.namedtuple("Key", "account sku resource price step kind tier grant time")


class Case:
    """A catalog, records and events; the last event is the late one."""

    def __init__(self, seed):
        self.seed, self.rng = seed, random.Random("late/%s" % seed)
        rng = self.rng
        self.clock = rng.choice(["hour", "hour", "hour", "day"])
        self.names = ["A", "B", "C"][:rng.choice([1, 2, 3, 3])]
        self.accounts = [{"id": account} for account in self.names] + [{"id": "org"}]
        self.memberships = [{"account": account, "organization": "org", "from": "2026-01-01T00:00:00Z"} for account in self.names]
        self.overrides, self.filed = [], {}
        self.make_catalog()
        self.make_commitments()
        self.make_events()

    def some(self, *texts):
        return Raw(self.rng.choice(texts))

    def make_catalog(self):
        rng = self.rng
        skus = {"vm.%s" % size: {"attributes": {"family": rng.choice("mr"), "weight": weight}}
                for size, weight in (("s", Raw("1")), ("m", Raw("2")), ("l", Raw("4")))}
        scope = rng.choice(["organization", "account"])
        self.tier = {"tier": {"scope": scope, "tiers": [
            {"up_to": self.some("2", "5", "9"), "rate": self.some("1", "0.7")}, {"up_to": Raw("20"), "rate": self.some("0.5", "0.8")},
            {"rate": self.some("0.4", "0.3333")}]}}
        uses = rng.choice([["leases"], ["plans"], ["leases", "plans"]])
        steps = [{"use": name} for name in uses]
        if rng.random() < 0.3:
            steps.append({"allowance": {"quantity": self.some("1", "4"), "scope": scope}})
        self.pooled = rng.random() < 0.5
        prices = [{"sku": sku, "name": sku, "grain": "hour", "steps": steps + [
            {"use": "joint"} if self.pooled else dict(self.tier)]} for sku in skus]
        prices.append({"sku": "store", "name": "store", "grain": "hour", "steps": [
            {"tier": {"scope": "organization", "tiers": [{"up_to": Raw("10"), "rate": Raw("0.2")}, {"rate": Raw("0.1")}]}}]})
        whom = rng.choice([["own"], ["own", "shared"], ["own", "shared"]])
        passes = {"leases": [{"offering": "lease", "for": w, "order": ["weight", "resource"]} for w in whom],
                  "plans": [{"offering": name, "for": w} for name in ("narrow", "wide") for w in whom]}
        named = {"joint": self.tier} if self.pooled else {}
        for name in uses:
            named[name] = {"cover": {"clock": self.clock, "passes": passes[name]}}
            if rng.random() < 0.4:
                named[name]["cover"]["lines"] = "negation"
        self.catalog = {
            "catalog": "late", "currency": "USD", "steps": named, "prices": prices,
            "products": {"vm": {"skus": skus}, "store": {"skus": {"store": {}}}},
            "meters": {"vm": {"event": "vm", "value": "data.q", "aggregate": "sum", "sku": '"vm." + data.size', "resource": "data.res"},
                       "store": {"event": "store", "value": "data.q", "aggregate": "sum", "sku": "store"}},
            "tables": {"sp": {"keys": ["sku"], "rows": [[sku, self.some("0.5", "0.31", "0.9")] for sku in skus]}},
            "commitments": {
                "lease": {"capacity": "commitment.count * commitment.factor", "weight": "weight", "recurring": "commitment.count * 0.25",
                          "eligible": "family == commitment.family"},
                "narrow": {"unit": "amount", "capacity": "commitment.amount", "rate": 'lookup("sp", sku)', "recurring": "commitment.amount",
                           "eligible": "family == commitment.family"},
                "wide": {"unit": "amount", "capacity": "commitment.amount", "percent": Raw("20"), "recurring": "commitment.amount"}}}
        offered = {one["offering"] for name in uses for one in passes[name]}
        self.catalog["commitments"] = {k: v for k, v in self.catalog["commitments"].items() if k in offered}
        terms = [{"discount": {"percent": self.some("10", "7.5"), "where": 'kind == "usage"'}},
                 {"fee": {"name": "support", "scope": "organization", "tiers": [{"up_to": Raw("20"), "percent": Raw("10")}, {"percent": Raw("7")}]}},
                 {"credit": {"scope": "organization", "grants": [{"id": "promo", "amount": self.some("3", "40")}]}},
                 {"tax": {"percent": Raw("19")}}]
        self.catalog["terms"] = [term for term in terms if rng.random() < 0.6]
        if not self.catalog["terms"]:
            del self.catalog["terms"]

    def make_commitments(self):
        rng, self.commitments = self.rng, []
        offerings = sorted(self.catalog["commitments"])
        for i in range(rng.choice([1, 1, 2, 3])):
            record = {"id": "k%d" % i, "offering": rng.choice(offerings), "account": rng.choice(self.names), "family": rng.choice("mr"),
                      "from": "2026-0%d-01T00:00:00Z" % rng.randint(1, 9), "to": "2027-01-01T00:00:00Z"}
            if record["offering"] == "lease":
                record.update(count=self.some("1", "2"), factor=self.some("1", "2", "4"))
            else:
                record["amount"] = self.some("0.3", "1", "2.5")
            self.commitments.append(record)
        self.catalog["contracts"] = [{"id": "k", "buyer": "org", "commitments": self.commitments}]

    def make_events(self):
        rng = self.rng
        hours = sorted(rng.sample(range(0, 5), 3) + rng.sample(range(24, 72), 2))
        self.events = []
        for i in range(rng.randint(6, 16)):
            kind = "vm" if rng.random() < 0.85 else "store"
            self.events.append({
                "specversion": "1.0", "id": "e%d" % i, "source": "x", "type": kind, "subject": rng.choice(self.names),
                "time": times.form(START + rng.choice(hours) * times.HOUR + rng.randrange(3600) * times.NS),
                "data": {"q": self.some("1", "0.5", "2", "3.25"), "size": rng.choice("sml"), "res": "r%d" % rng.randrange(4)}})
        self.late = self.events[-1]

    def lines(self, count):
        return [write_json(event) for event in self.events[:count]]

    def turn(self):
        """Of the cover, in which the late event lies."""
        return times.Clock(self.clock).turn(times.parse(self.late["time"]))

    # ---- bills ----

    def rated(self, count):
        """{key: (quantity, amount, effective)} as the naive rater has it, and covers by (commitment, turn)."""
        setup = Setup(self.catalog, self.accounts, self.memberships, [], PERIOD)
        rated = usage_room.Usage(setup, self.lines(count))
        out, used = collections.defaultdict(lambda: [num(0)] * 3), {}
        for payer in sorted(setup.accounts):
            for cut in setup.cuts(payer):
                bill = Bill(setup, payer, cut, rated.rows.get((payer, cut), []))
                for c in bill.charges:
                    key = Key(c.account, c.sku, c.resource, c.price, c.step, c.kind, c.tier, c.grant, c.time)
                    out[key] = [a + b for a, b in zip(out[key], (c.quantity, c.amount, c.effective))]
                for name, _, turn, capacity, taken, rest in bill.unused():
                    used[(name, turn)] = capacity, taken, rest
        return {k: v for k, v in out.items() if any(v)}, used

    def billed(self, runner, count, name):
        """The same of farthing's lines; without what of a commitment is unused."""
        import sim_bill
        inputs = sim_bill.canonical_inputs(self, runner.path(name), self.lines(count), self.catalog)
        out = collections.defaultdict(lambda: [num(0)] * 3)
        for line in runner.run(inputs, name, PERIOD, ["--threads", "1"]).lines():
            if line["kind"] == "rounding" and not line["level"]:
                continue
            key = Key(line["account"], line["sku"], line["resource"], line["price"], line["step"], line["kind"],
                      int(line["tier"]) if line["tier"] else None, line.get("commitment") or line["grant"], times.parse_date(line["from"]))
            out[key] = [a + b for a, b in zip(out[key], (
                num(line["quantity"] or "0"), num(line["exact"]), num(line.get("effective") or "0")))]
        return {k: v for k, v in out.items() if any(v)}, {}


def changes(before, after):
    """{key: (was, is)}"""
    return {key: (before.get(key), after.get(key)) for key in sorted(set(before) | set(after), key=str)
            if before.get(key) != after.get(key)}


def judge(case, before, after, used_before, used_after, counts):
    """[what must not have changed], counting what may."""
    wrong, (start, end), sku = [], case.turn(), case.late["type"]
    in_turn = lambda at: start <= at < end  # noqa: E731
    changed = changes(before, after)
    rest = collections.defaultdict(lambda: [num(0), num(0)])  # of a row, whatever its tiers
    for key, sides in changed.items():
        if key.kind in TERMS:
            counts["terms"] += 1
        elif key.kind == "unused":
            counts["unused part"] += 1
        elif key.kind == "commitment":
            wrong.append(("a fee", key, sides))
        elif sku == "store":
            if key.price != "store" or key.time < times.parse(case.late["time"]) // times.HOUR * times.HOUR:
                wrong.append(("another price, or an hour before", key, sides))
            counts["tier positions"] += 1
        elif key.price == "store":
            wrong.append(("another price", key, sides))
        elif key.kind in ("covered", "negation"):
            if not in_turn(key.time):
                wrong.append(("a cover of another turn", key, sides))
            counts["covers of the turn"] += 1
        elif key.kind == "usage":
            if key.time < start:
                wrong.append(("usage before the turn", key, sides))
            elif not in_turn(key.time):
                for i, side in enumerate(sides):
                    rest[(key.account, key.sku, key.resource, key.time)][i] += side[0] if side else 0
                if not case.pooled and key.sku != "vm." + case.late["data"]["size"] and case.is_alone(changed, key.sku):
                    wrong.append(("tiers of another price", key, sides))
                counts["tier positions"] += 1
            else:
                counts["rows of the turn"] += 1
        else:
            wrong.append(("a charge of another kind", key, sides))
    if "allowance" not in json.dumps(case.catalog["prices"]):  # what is free is on no line
        wrong += [("how much of a row is left in a later turn", key, sides) for key, sides in rest.items() if sides[0] != sides[1]]
    for key, sides in changes(used_before, used_after).items():
        if key[1] != case.turn() or sku == "store":
            wrong.append(("what a commitment gave in another turn", key, sides))
    return wrong


def is_alone(self, changed, sku):
    """Whether nothing of a SKU has changed in the turn: then its own tiers stand where they stood."""
    start, end = self.turn()
    return not any(key.sku == sku and key.kind in ("usage", "covered") and start <= key.time < end for key in changed)


Case.is_alone = is_alone


def shown(what, key, sides):
    key = [times.form(part) if isinstance(part, int) and part > 10 ** 15 else str(part) for part in key]
    return "%s: %s: %s -> %s" % (what, " ".join(key), *(
        "nothing" if side is None else " ".join(map(plain, side)) if isinstance(side, (list, tuple)) else plain(side) for side in sides))


def try_case(seed, runner, counts, show):
    case = Case(seed)
    count = len(case.events)
    if runner:
        (before, used_before), (after, used_after) = (case.billed(runner, n, "%s-%d" % (seed, n)) for n in (count - 1, count))
    else:
        (before, used_before), (after, used_after) = case.rated(count - 1), case.rated(count)
    own = collections.Counter()
    wrong = [shown(*item) for item in judge(case, before, after, used_before, used_after, own)]
    counts.update({what: 1 for what in own})
    if show:
        print("late: %s" % write_json(case.late))
        for key, sides in changes(before, after).items():
            print(shown(key.kind, key, sides))
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--farthing", help="the program; without it the naive rater is asked")
    parser.add_argument("--diff", action="store_true", help="show what changes in each")
    parser.add_argument("--work")
    arguments = parser.parse_args()
    start, counts, wrong, runner = time.time(), collections.Counter(), {}, None
    work = arguments.work or tempfile.mkdtemp(prefix="sim-late-")
    if arguments.farthing:
        import sim_bill
        runner = sim_bill.Runner(os.path.abspath(arguments.farthing), work)
    for seed in range(arguments.first, arguments.first + arguments.cases):
        found = try_case(seed, runner, counts, arguments.diff)
        if found:
            wrong[seed] = found
        if runner:
            shutil.rmtree(work)
            os.makedirs(work)
    for seed, lines in list(wrong.items())[:20]:
        print("%d\n    %s" % (seed, "\n    ".join(lines)))
        print("    repeat: test/sim/sim_late.py --first %d --cases 1 --diff" % seed)
    print("late: %d cases; %s; %d changed what they may not; %.0f s" % (
        arguments.cases, ", ".join("%s in %d" % (what, counts[what]) for what in sorted(counts)), len(wrong), time.time() - start))
    shutil.rmtree(work, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
