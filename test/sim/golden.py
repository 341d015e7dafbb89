"""Holds the naive rater against worked cases of charge models: golden.py FILE.language.jsonl|FILE.yaml...

Prints how many cases pass by model, how many of their figures agree, each figure that does not, and what is out of reach.
Each bill of a case is computed as all charges known by then less those known before, line by line."""
import collections
import json
import re
import sys

import expressions
import times
from exact import num, plain, quantize, quantize_line
from rater import Bill
from setting import Setup
from usage import Row, Usage
from world import Raw, write_json

ZERO = num(0)
PROFILES = {
    "lago": {"at_zero": "charge", "digits": 5, "mode": "up"},
    "openmeter": {"at_zero": "charge", "settle": "at_end", "overage": "carry"},
    "killbill": {"past_last": "last", "digits": 9, "mode": "half_up"},
    "flexprice": {}, "stripe": {"at_zero": "charge"}, "none": {},
}
OPTIONS = {"tier": ("at_zero", "past_last", "settle"), "credit": ("overage",)}
PERIOD_TEXT = re.compile(r"^\d{4}(-\d\d(-\d\d)?|-W\d\d|-Q\d)?$")


class OutOfReach(Exception):
    """Something that the rater does not do."""


def instant(text):
    text = str(text)
    if "T" in text:
        text += {13: ":00:00", 16: ":00"}.get(len(text), "")
        return times.parse(text if text.endswith("Z") else text + "Z")
    return times.parse_date(text)


def period(bill):
    if isinstance(bill, dict):
        return instant(bill["from"]), instant(bill["to"])
    return times.parse_period(str(bill))


def dated(value):
    """A copy in which times have all their parts and a zone."""
    if isinstance(value, dict):
        return {key: dated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [dated(item) for item in value]
    if isinstance(value, str) and re.match(r"^\d{4}-\d\d-\d\dT[\d:]+$", value):
        return times.form(instant(value))
    return value


def steps_of(catalog):
    for price in catalog["prices"]:
        yield from price.get("steps", [])
        for steps in price.get("components", {}).values():
            yield from steps
    yield from catalog.get("terms", [])
    yield from catalog.get("steps", {}).values()


def apply_profile(catalog):
    """Defaults of options, nothing else."""
    options = PROFILES[catalog.get("profile", "none")]
    for step in steps_of(catalog):
        (kind, body), = step.items()
        if not isinstance(body, dict):
            continue
        for key in OPTIONS.get(kind, ()):
            if key in options and (key != "settle" or body.get("mode") == "volume"):
                body.setdefault(key, options[key])
        if "prorate" in body:
            for key in ("digits", "mode"):
                if key in options:
                    body.setdefault(key, options[key])


class Known:
    """What a case knows at some point of its story."""

    def __init__(self, case):
        self.case, self.catalog = case, case["catalog"]
        self.records, self.contracts = case.get("accounts", []), case.get("contracts", [])
        self.usage, self.events, self.begin = [], [], None

    def hear(self, chapter, cut):
        for item in chapter.get("usage", []):
            self.usage.append(dict(item, time=instant(item["time"]) if "time" in item else cut[0]))
        self.events += chapter.get("events", [])
        for key, value in chapter.get("amend", {}).items():
            if key in ("accounts", "contracts"):
                setattr(self, {"accounts": "records"}.get(key, key), value)
            else:
                self.catalog = dict(self.catalog, **{key: value})

    def setup(self, cut):
        catalog = dict(json.loads(json.dumps(self.catalog)))
        apply_profile(catalog)
        named = [r["id"] for r in self.records] + [u["account"] for u in self.usage if "account" in u]
        nameless = not named or any("account" not in item for item in self.usage + self.events)
        accounts = [dict(r) for r in self.records] or [{"id": "customer"}] * nameless
        accounts += [{"id": name} for name in dict.fromkeys(named) if name not in [a["id"] for a in accounts]]
        members = [{"account": child, "organization": r["id"]} for r in self.records for child in r.get("children", [])]
        members += [dict(member, account=r["id"]) for r in self.records for member in r.get("member_of", [])]
        for i, event in enumerate(self.events):
            event.setdefault("id", str(i))
        for name, meter in catalog.get("meters", {}).items():
            meter.setdefault("sku", name)
            meter.setdefault("event", "case")
            if meter.get("aggregate") == "time_weighted":  # deltas before the period have made the level
                meter.setdefault("carry", True)
        whole = [c for c in self.contracts if "prices" not in c and "plan" not in c and "buyer" not in c]
        catalog["contracts"] = [dict({"id": c["buyer"]}, **c) for c in self.contracts if c not in whole]
        for c in whole:
            if "id" in c and "accounts" in c:
                catalog["contracts"] += [dict(c, id=c["id"] + "/" + a, buyer=a) for a in c["accounts"]]
        setup = Setup(catalog, accounts, members)
        setup.commitments += [record for c in whole for record in c.get("commitments", [])]
        if whole and "accounts" not in whole[0]:  # the one subscription: its dates bound what is fixed
            start = instant(whole[0]["from"]) if "from" in whole[0] else times.MIN
            end = instant(whole[0]["to"]) if "to" in whole[0] else times.MAX
            for holder in setup.public + [step for _, steps in setup.terms for step in steps]:
                holder.start, holder.end = max(holder.start, start), min(holder.end, end)
        for price in setup.public:
            if price.steps[0].body.get("when") == "once" and price.start == times.MIN:
                price.start = cut[0]  # a case begins with its first bill
        for item in self.usage:
            setup.skus.add(item["sku"])
            if "product" in item:
                setup.product[item["sku"]] = item["product"]
            setup.dimension_names |= set(item.get("dims", {}))
        return setup

    def rows(self, setup, cut):
        """{payer: rows} of all usage before an instant, in the case's own rows or from its events."""
        rows, by_payer = {}, collections.defaultdict(list)
        for item in self.usage:
            dims = tuple(sorted((k, v if isinstance(v, str) else num(v)) for k, v in item.get("dims", {}).items()))
            account = item.get("account", "customer" if not self.records else self.records[0]["id"])
            key = (None, cut, item["time"], account, item.get("resource", ""), item["sku"], dims, item.get("id", ""))
            row = rows.setdefault(key, Row(key))
            row.quantity = getattr(row, "quantity", ZERO) + num(item.get("quantity", 1))
            row.events += int(item.get("events", 1))
        for row in rows.values():
            if row.time < cut[1]:
                by_payer[setup.payer(row.account, row.time)].append(row)
        if self.events:
            first = min(instant(event["time"]) for event in self.events)
            for account in setup.accounts:
                setup.known_cuts[account] = [(first, cut[0])] * (first < cut[0]) + [cut]
            for (payer, own), metered in Usage(setup, [self.line(e) for e in self.events]).rows.items():
                if own == cut:
                    by_payer[payer] += metered
        for account in setup.accounts:
            if setup.payer(account, cut[1] - 1) == account:
                by_payer[account] += []
        return by_payer

    @staticmethod
    def line(event):
        """A short event as a CloudEvent: what is a number in plain notation is one."""
        def read(value):
            text = str(value)
            return Raw(text) if re.match(r"^-?(0|[1-9]\d*)(\.\d+)?$", text) else dated(value)
        data = {k: read(v) for k, v in event.items() if k not in ("id", "time", "account")}
        return write_json({"specversion": "1.0", "id": event["id"], "source": "case", "type": "case",
                           "subject": event.get("account", "customer"), "time": times.form(instant(event["time"])),
                           "data": data})

    def bills(self, cut):
        setup = self.setup(cut)
        return setup, [Bill(setup, payer, cut, rows) for payer, rows in sorted(self.rows(setup, cut).items())]


# ---- lines ----

KEY = ("contract", "account", "price", "sku", "resource", "dims", "period", "kind", "of", "rate", "tier", "step", "grant")


class Lines:
    """Amounts and quantities by a line's key, rounded as the catalog says."""

    def __init__(self, known, cut):
        self.setup, self.bills = known.bills(cut)
        self.amount, self.quantity, self.effective, self.unused = (collections.Counter() for _ in range(4))
        for bill in self.bills:
            for c in bill.charges:
                c.period = self.setup.billed(bill.payer, c.time)[0][0]
                key = tuple(getattr(c, name) for name in KEY)
                self.amount[key] += c.amount
                self.quantity[key] += c.quantity
                self.effective[key] += c.effective
            for name, account, _, capacity, used, rest in bill.unused():
                self.unused[name] += capacity - used
                key = tuple({"account": account, "kind": "unused", "grant": name, "dims": (), "tier": None, "rate": None}.get(k, "") for k in KEY)
                self.amount[key] += 0
                self.quantity[key] += capacity - used
                self.effective[key] += rest
        if "rounding" in known.catalog:
            rule = known.catalog["rounding"]
            for key, amount in self.amount.items():
                self.amount[key] = quantize_line(amount, key[KEY.index("kind")], int(rule["digits"]), rule.get("mode", "half_up"))

    def less(self, other):
        """[line] of what is here and was not there."""
        out = []
        for key in set(self.amount) | set(other.amount if other else ()):
            line = dict(zip(KEY, key), dims=dict(key[KEY.index("dims")]))
            line["amount"] = self.amount[key] - (other.amount[key] if other else 0)
            line["quantity"] = self.quantity[key] - (other.quantity[key] if other else 0)
            line["effective"] = self.effective[key] - (other.effective[key] if other else 0)
            line["product"] = self.setup.product.get(line["sku"], "")
            line["contract"] = (line["contract"] or "").split("/")[0]
            out.append(line)
        return out

    def total(self):
        return sum(self.amount.values(), ZERO)


def summed(lines, what="amount", **keys):
    return sum((line[what] for line in lines if all(str(line[k]) == str(v) for k, v in keys.items())), ZERO)


def select(line, name, value):
    if name == "tier":
        return line["tier"] is not None and line["tier"] - 1 == int(value)
    if name in ("from", "to", "list"):
        raise OutOfReach("lines by " + name)
    if name == "rate" and not re.match(r"^[-\d.]+$", str(value)):  # of a commitment: which of its fees
        return line["step"] == str(value)
    if name == "rate":
        return line["rate"] is not None and num(line["rate"]) == num(value)
    return str(line.get(name, line["dims"].get(name))) == str(value)


class Judge:
    """[(what, expected, got)] of one bill."""

    def __init__(self, expect, lines, now, bills, already, interim, cut, before):
        self.before = before
        self.expect, self.lines, self.now, self.bills, self.cut, self.out = expect, lines, now, bills, cut, []
        for name, value in expect.items():
            if name.startswith("by_") and name not in ("by_tax_of", "by_dim"):
                for key, amount in value.items():
                    self.say(name + " " + key, amount, self.by(name[3:], key))
            elif name == "total":
                self.say(name, value, summed(lines) - already)
            elif name == "charges":
                self.say(name, value, now.total())
            elif name == "already":
                self.say(name, value, already)
            elif name == "interim":
                self.say(name, sum(map(num, value)), sum(interim, ZERO))
                self.say("interim bills", len(value), len(interim))
                for expected, got in zip(value, interim):
                    self.say(name, expected, got)
            elif name == "net_of_tax":
                self.say(name, value, summed(lines) - summed(lines, kind="tax"))
            elif name in ("by_tax_of", "by_dim", "net", "balance", "quantity", "lines", "effective", "unused"):
                getattr(self, "say_" + name)(value)
            elif name != "rounded":
                raise OutOfReach("expect " + name)

    def say(self, what, expected, got):
        expected = num(expected)
        if "rounded" in self.expect:
            got = quantize(got, int(self.expect["rounded"]), "half_up")
        else:  # some are stored with few digits
            got = quantize(got, max(10, len(plain(expected).partition(".")[2])), "half_up")
        self.out.append((what, expected, got))

    def by(self, name, key):
        if name == "tier":
            return sum((line["amount"] for line in self.lines if select(line, name, key)), ZERO)
        if name == "period":
            return summed(self.lines, period=period(key)[0] if PERIOD_TEXT.match(key) else instant(key))
        return summed(self.lines, **{name: key})

    def say_by_tax_of(self, value):
        for kind, amount in value.items():
            self.say("tax of " + kind, amount, summed(self.lines, kind="tax", of=kind))

    def say_by_dim(self, value):
        for name, values in value.items():
            for key, amount in values.items():
                self.say("%s %s" % (name, key), amount, sum((
                    line["amount"] for line in self.lines if str(line["dims"].get(name, "")) == key), ZERO))

    def say_net(self, value):
        for key, amount in value.items():
            self.say("net " + key, amount, sum((line["amount"] for line in self.lines if line["kind"] != "tax" and key in (
                line["account"], line["sku"], line["resource"])), ZERO))

    def say_quantity(self, value):
        """By [account.][sku.]kind; a key that ends in no kind is a SKU's usage."""
        kinds = {line["kind"] for line in self.lines} | {"usage", "covered", "commitment"}
        for key, amount in value.items():
            head, _, kind = key.rpartition(".")
            if kind not in kinds:
                head, kind = key, "usage"
            found = [line for line in self.lines if line["kind"] == kind and head in (
                "", line["sku"], line["account"], line["account"] + "." + line["sku"])]
            self.say("quantity " + key, amount, summed(found, "quantity"))

    def say_effective(self, value):
        """By account, SKU or resource; by commitment, what of it has been used; or of all lines."""
        for key, amount in value.items():
            self.say("effective " + key, amount, sum((
                line["effective"] for line in self.lines if key in ("all", line["account"], line["sku"], line["resource"]) or (
                    line["kind"] == "covered" and key == line["grant"])), ZERO))

    def say_unused(self, value):
        for key, amount in value.items():
            self.say("unused " + key, amount, self.now.unused[key] - (self.before.unused[key] if self.before else 0))

    def say_balance(self, value):
        wallets = [wallet for bill in self.bills for wallet in bill.wallets]
        found = {}
        for wallet in wallets:
            found.update(wallet.balances(self.cut[1] - 1))
        for key, amount in value.items():
            self.say("balance " + key, amount, found.get(key, ZERO))

    def say_lines(self, value):
        for item in value:
            compared = {k: v for k, v in item.items() if k in ("amount", "quantity", "effective")}
            found = [line for line in self.lines if all(
                select(line, k, v) for k, v in item.items() if k not in compared)]
            if not any(num(amount) == 0 for amount in compared.values()):
                self.say("lines %s" % item, 1, num(int(bool(found))))
            for name, amount in compared.items():
                self.say("%s of %s" % (name, item), amount, summed(found, name))




def run(case):
    """[(what, expected, got)] of all figures that are compared."""
    known, out, before, first = Known(dated(case)), [], None, None
    case = known.case
    for chapter in case.get("story") or [case]:
        cut = period(chapter.get("bill", case.get("bill", "2026-10")))
        if first is None:
            first = instant(case["begin"]) if "begin" in case else cut[0]
        known.hear(chapter, cut)
        if "bill" not in chapter and case.get("story"):
            continue
        late = known.catalog.get("billing", {}).get("late_periods")
        if late is not None:
            known.usage = in_time(known, cut, int(late))
        interim = thresholds(known, (first, cut[1]))
        now = Lines(known, (first, cut[1]))
        judge = Judge(chapter.get("expect", {}), now.less(before), now, now.bills, sum(interim, ZERO), interim, cut, before)
        out += judge.out
        before = now
    return out


def in_time(known, cut, periods):
    """Without usage that is older than so many periods when it is first known."""
    setup = known.setup(cut)
    start = cut[0]
    for _ in range(periods):
        start = setup.billed("customer", start - 1)[0][0]
    seen = getattr(known, "seen", [])
    known.seen = [item for item in known.usage if item in seen or item["time"] >= start]
    return list(known.seen)


def thresholds(known, cut):
    """The bills between, each when what is charged since the turn began crosses an amount."""
    billing = known.catalog.get("billing", {})
    if "thresholds" not in billing:
        return []
    left, recurring = sorted(map(num, billing["thresholds"])), billing.get("recurring")
    out, billed = [], ZERO
    for at in sorted({item["time"] for item in known.usage if item["time"] < cut[1]}):
        total = Lines(known, (cut[0], at + 1)).total()
        crossed = [t for t in left if total >= t]
        if crossed or (not left and recurring is not None and total - billed >= num(recurring)):
            left = left[len(crossed):]
            out.append(total - billed)
            billed = total
    return out


def read_yaml(file):
    """The project's own cases: what is written, as text."""
    import yaml
    return list(yaml.load_all(file, yaml.BaseLoader))


def main():
    status = 0
    for path in sys.argv[1:]:
        models = collections.defaultdict(collections.Counter)
        figures, names = collections.Counter(), collections.defaultdict(list)
        with open(path, encoding="utf-8") as file:
            cases = read_yaml(file) if path.endswith(".yaml") else [json.loads(line) for line in file]
        for case in cases:
            model = case["case"].partition("-")[0]
            try:
                compared = run(case)
            except OutOfReach as why:
                models[model]["out of reach"] += 1
                names[str(why)].append(case["case"])
                continue
            except (ValueError, LookupError, TypeError, AttributeError, expressions.Failure) as why:
                print("%s: %s %s" % (case["case"], type(why).__name__, why))
                models[model]["failed"] += 1
                status = 1
                continue
            wrong = [(what, expected, got) for what, expected, got in compared if expected != got]
            figures["compared"] += len(compared)
            figures["differ"] += len(wrong)
            models[model]["failed" if wrong else "passed"] += 1
            for what, expected, got in wrong:
                print("%s: %s: %s expected, got %s" % (case["case"], what, plain(expected), plain(got)))
        for why in sorted(names):
            print("out of reach: %s: %s" % (", ".join(names[why]), why))
        for model in sorted(models):
            print("    %-12s %s" % (model, ", ".join("%d %s" % (n, what) for what, n in sorted(models[model].items()))))
        total = sum(models.values(), collections.Counter())
        print("rater: %s of %d cases; %d figures compared, %d differ" % (
            ", ".join("%d %s" % (n, what) for what, n in sorted(total.items())), len(cases), figures["compared"],
            figures["differ"]))
        status |= bool(figures["differ"])
    return status


if __name__ == "__main__":
    sys.exit(main())
