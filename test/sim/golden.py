"""Holds the naive rater against worked cases of charge models: golden.py models.language.jsonl

Prints how many cases are within its steps, how many of their figures agree, and each that does not."""
import json
import sys
from collections import defaultdict

import expressions
import times
from exact import num, plain, quantize
from rater import Bill
from setting import Setup, Step
from usage import Row

STEPS = {"convert", "aggregate", "allowance", "rate", "percent", "formula", "tier", "fixed", "bound", "round", "use"}
PROFILES = {
    "lago": {"at_zero": "charge", "digits": 5, "mode": "up"},
    "openmeter": {"at_zero": "charge", "settle": "at_end"},
    "killbill": {"past_last": "last", "digits": 9, "mode": "half_up"},
    "flexprice": {}, "stripe": {"at_zero": "charge"},
}


def instant(text):
    text = str(text)
    if "T" in text:
        text += ":00" if len(text) == 16 else ""
        return times.parse(text if text.endswith("Z") else text + "Z")
    return times.parse_date(text)


def period(bill):
    if isinstance(bill, dict):
        return instant(bill["from"]), instant(bill["to"])
    return times.parse_period(bill)


def apply_profile(catalog):
    options = PROFILES.get(catalog.get("profile"), {})
    for price in catalog["prices"]:
        for step in price["steps"]:
            (kind, body), = step.items()
            if not isinstance(body, dict):
                continue
            if kind == "tier":
                for key in ("at_zero", "past_last", "settle"):
                    if key in options:
                        body.setdefault(key, options[key])
            if "prorate" in body:
                for key in ("digits", "mode"):
                    if key in options:
                        body.setdefault(key, options[key])


def in_scope(case):
    catalog = case["catalog"]
    if set(catalog) - {"prices", "profile", "billing", "rounding", "currency"}:
        return False
    if "events" in case or "terms" in case or "every" not in case["catalog"].get(
            "billing", {"every": 1}) or set(catalog.get("billing", {})) - {"every", "anchor"}:
        return False
    kinds, text = set(), json.dumps(case)
    for price in catalog["prices"]:
        if "components" in price:
            return False
        for step in price["steps"]:
            kinds |= set(step)
    return (kinds <= STEPS and "amend" not in text and "in_calendar" not in text and "stub" not in text)


def rate(case, catalog, usage, cut):
    accounts = [{"id": "customer"}]
    for record in case.get("accounts", []):
        accounts.append({"id": record["id"]})
    members = [{"account": child, "organization": record["id"]}
               for record in case.get("accounts", []) for child in record.get("children", [])]
    setup = Setup(catalog, accounts, members)
    contracts = case.get("contracts", [])
    if contracts:  # the one subscription: its dates bound what is fixed
        start = instant(contracts[0]["from"]) if "from" in contracts[0] else times.MIN
        end = instant(contracts[0]["to"]) if "to" in contracts[0] else times.MAX
        for price in setup.public:
            price.start, price.end = max(price.start, start), min(price.end, end)
    for price in setup.public:
        if price.steps[0].body.get("when") == "once" and price.start == times.MIN:
            price.start = cut[0]  # a case begins with its first bill
    rows = {}
    for item in usage:
        at = instant(item["time"]) if "time" in item else cut[0]
        dims = tuple(sorted(item.get("dims", {}).items()))
        setup.dimension_names |= set(item.get("dims", {}))
        key = (None, cut, at, item.get("account", "customer"), item.get("resource", ""), item["sku"],
               dims, item.get("id", ""))
        row = rows.setdefault(key, Row(key))
        row.quantity = getattr(row, "quantity", 0) + num(item.get("quantity", 1))
        row.events += int(item.get("events", 1))
    payers = defaultdict(list)
    for row in rows.values():
        if row.time < cut[1]:
            payers[setup.payer(row.account, row.time)].append(row)
    payers["customer"] += []
    return [charge for payer in payers for charge in Bill(setup, payer, cut, payers[payer]).charges]


def rounded(total, catalog, expect, charges):
    if "rounding" in catalog:
        lines = defaultdict(lambda: num(0))
        for c in charges:
            lines[(c.account, c.sku, c.price, c.step, c.kind, c.tier)] += c.amount
        total = sum(quantize(x, int(catalog["rounding"]["digits"]),
                             catalog["rounding"].get("mode", "half_up")) for x in lines.values())
    return quantize(total, expect["rounded"], "half_up") if "rounded" in expect else total


def run(case):
    """[(what, expected, got)] of all figures that are compared."""
    catalog = case["catalog"]
    apply_profile(catalog)
    story = case.get("story") or [case]
    usage, billed, first, out = [], [], None, []
    for chapter in story:
        usage += chapter.get("usage", [])
        if "bill" not in chapter and case.get("story") and "expect" not in chapter:
            continue
        cut = period(chapter.get("bill", case.get("bill", "2026-10")))
        if first is None:
            first = instant(case["begin"]) if "begin" in case else cut[0]
        charges = rate(case, catalog, usage, (first, cut[1]))
        expect = chapter.get("expect", {})
        if "total" in expect:
            got = (rounded(num(0), catalog, expect, charges)
                   - rounded(num(0), catalog, expect, billed) if "rounding" in catalog else
                   rounded(sum(c.amount for c in charges) - sum(c.amount for c in billed), catalog,
                           expect, charges))
            out.append(("total", num(expect["total"]), got))
        for name, field in (("by_kind", "kind"), ("by_account", "account"), ("by_sku", "sku")):
            for value, amount in expect.get(name, {}).items():
                got = sum((c.amount for c in charges if str(getattr(c, field)) == value), num(0))
                got -= sum((c.amount for c in billed if str(getattr(c, field)) == value), num(0))
                out.append((name + " " + value, num(amount), got))
        billed = charges
    return out


def main():
    cases = [json.loads(line) for line in open(sys.argv[1])]
    inside = figures = bad = 0
    for case in cases:
        if not in_scope(case):
            continue
        try:
            compared = run(case)
        except (ValueError, IndexError, TypeError, KeyError,
                expressions.Failure):  # words that the rater does not know
            continue
        inside += bool(compared)
        figures += len(compared)
        for what, expected, got in compared:
            digits = max(10, len(plain(expected).partition(".")[2]))
            if expected != quantize(got, digits, "half_up"):  # some are stored with few digits
                bad += 1
                print("%s: %s: %s expected, got %s" % (case["case"], what, plain(expected),
                                                       plain(got)))
    print("rater: %d of %d cases are within its steps; %d figures compared, %d differ" % (
        inside, len(cases), figures, bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
