"""The laws of the pricing language (its section 7), as far as the steps of the spine allow, on random programs.

Each law changes a world in a way that must not change, or must change so, what is billed, and bills it again."""
import collections
import copy
import json
import random

import corrections
import laws_cover
import laws_terms
import times
import views
from exact import num, plain
from usage import Event, Refused, read_line
from world import Raw, write_json

ZERO = num(0)


class Bench:
    """What a law works with: the world, its output, a way to bill a changed world."""

    def __init__(self, world, setup, runner, output, inputs, name, mismatch):
        self.world, self.setup, self.runner, self.output = world, setup, runner, output
        self.inputs, self.name, self.mismatch = inputs, name, mismatch
        self.rng = random.Random("%s/law/%s" % (world.seed, name))

    def bill(self, name, catalog=None, lines=None, period=None, options=(), status=0):
        inputs = self.inputs(self.world, self.runner.path(self.name + "-" + name), lines, catalog)
        return self.runner.run(inputs, self.name + "-" + name, period or self.world.period_text,
                               ["--threads", "1", *options], status)

    def expect(self, truth, text, *arguments):
        if not truth:
            raise self.mismatch(text % arguments if arguments else text)

    def equal(self, what, first, second, within=ZERO):
        for key in sorted(set(first) | set(second), key=str):
            a, b = first.get(key, ZERO), second.get(key, ZERO)
            self.expect(abs(a - b) <= within, "%s of %s: %s and %s", what, "/".join(map(str, key)), plain(a), plain(b))


def sums(lines, *columns):
    """Exact amounts by some columns, without zeros."""
    out = collections.defaultdict(lambda: ZERO)
    for line in lines:
        if line["kind"] != "rounding" or line["level"]:
            out[tuple(line[column] for column in columns)] += num(line["exact"])
    return {key: amount for key, amount in out.items() if amount}


def by_price(output):
    return sums(output.lines(), "bill", "account", "sku", "price")


def prices_of(catalog):
    out = list(catalog.get("prices", []))
    for owner in [*catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        out += [price for price in owner.get("prices", []) if isinstance(price, dict)]
    return out


def all_steps(catalog):
    """The lists of steps of all prices, each of its own."""
    out = []
    for price in prices_of(catalog):
        if "components" in price:  # whose steps take charges alone
            continue
        price["steps"] = copy.deepcopy(price["steps"])  # versions may share a list
        out.append(price["steps"])
    return out


def bodies(catalog, kind):
    """The mappings of all steps of a kind."""
    out = []
    components = [steps for price in prices_of(catalog) for steps in price.get("components", {}).values()]
    for steps in [*all_steps(catalog), *components, list(catalog.get("steps", {}).values())]:
        out += [step[kind] for step in steps if isinstance(step.get(kind), dict)]
    return out


CHARGE_STEPS = ("discount", "markup", "fee", "tax", "commit", "credit", "allocate")


def without_terms(catalog):
    """A copy that has no lists of terms."""
    catalog = copy.deepcopy(catalog)
    for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        owner.pop("terms", None)
    return catalog


def lists_of_terms(catalog):
    return [owner["terms"] for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]
            if "terms" in owner]


def usage_events(world):
    """[(line, event)] of the lines that are one accepted usage event."""
    out = []
    for line in world.lines:
        try:
            records = read_line(line)
            event = Event(records[0]) if len(records) == 1 else None
        except (Refused, IndexError):
            continue
        if event and event.type != "farthing.withdrawal":
            out.append((line, event))
    return out


# ---- 1 cut: a row's quantity, a bill's period ----

def cut_rows(bench):
    """An event split into two of half its quantity: sums of the same row, so nothing may change."""
    world = bench.world
    keys, taken_back = collections.Counter(), set()
    for line in world.lines:
        try:
            keys.update((r.get("source"), r.get("id")) for r in read_line(line))
            taken_back |= {(r["data"].get("source"), r["data"].get("id")) for r in read_line(line)
                           if r.get("type") == "farthing.withdrawal"}
        except (Refused, AttributeError):
            pass
    lines, split = [], 0
    single = {line for line, e in usage_events(world)
              if keys[(e.source, e.id)] == 1 and (e.source, e.id) not in taken_back}
    for line in world.lines:
        event = json.loads(line, parse_float=Raw, parse_int=Raw) if line in single else None
        meters = [m for m in world.meters.values() if event and m["event"] == event.get("type")]
        fits = event and meters and all(
            m.get("aggregate") == "sum" and m.get("grain") != "event" and not m.get("spread") and m.get("value") in ("data.q", "data.q * 2")
            and "q" not in m.get("where", "") for m in meters)
        if not fits or not isinstance(event["data"].get("q"), Raw):
            lines.append(line)
            continue
        half = num(event["data"]["q"]) / 2
        for part in ("", "-half"):
            piece = copy.deepcopy(event)
            piece["id"] += part
            piece["data"]["q"] = Raw(plain(half))
            lines.append(write_json(piece))
        split += 1
    if not split or any("events" in body for body in bodies(world.catalog, "allowance")):
        return False
    if "-events" in str(world.catalog):
        return False
    bench.equal("amount", by_price(bench.output), by_price(bench.bill("halves", lines=lines)))
    return True


def has_order(catalog):
    """Programs in which a step sorts its rows: each bill has an order of its own."""
    return any("order" in body for kind in STEPS for body in bodies(catalog, kind))


def in_order_only(world):
    """Programs whose every step is in order and knows nothing of the bill's period but its turn."""
    catalog = world.catalog
    if has_order(catalog) or bodies(catalog, "aggregate") or "usage(" in str(catalog):
        return False
    for body in bodies(catalog, "tier"):
        if body.get("mode") == "volume" or body.get("attribute"):
            return False
    if any("attribute" in body for body in bodies(catalog, "allowance")):  # the shares of a part of a bill are its own
        return False
    return not any("min" in body for body in bodies(catalog, "bound"))


STEPS = ("convert", "aggregate", "allowance", "tier", "bound", "round")
SAMPLED = ("average", "unique", "percentile", "time_weighted")


def with_thresholds(bench):
    """(catalog, thresholds, what is billed without): of a world in which something is charged; else None."""
    world = bench.world
    catalog = copy.deepcopy(world.catalog)
    for meter in catalog["meters"].values():  # that each hour be known by itself
        if meter.get("aggregate") in SAMPLED:
            for key in ("value", "percentile", "input"):
                meter.pop(key, None)
            meter["aggregate"] = "count"
        if meter.get("grain") != "event":
            meter["grain"] = "hour"
        meter.pop("clock", None)
        meter.pop("carry", None)
    for contract in catalog.get("contracts", []):
        contract.pop("billing", None)
    plain_bill = bench.bill("plain", catalog)
    most = max((num(bill["exact"]) for bill in plain_bill.bills()), default=ZERO)
    if most <= 0:
        return None
    limits = sorted({num(round(float(most) * bench.rng.random(), 2)) for _ in range(bench.rng.randrange(1, 4))} - {ZERO})
    billing = dict(catalog.get("billing") or {"every": "month"})
    billing["thresholds"] = [Raw(plain(limit)) for limit in limits]
    if bench.rng.random() < 0.5:
        billing["recurring"] = Raw(plain(num(round(float(most) / 3, 2)) or num(1)))
    catalog["billing"] = billing
    return catalog, limits, plain_bill


def thresholds(bench):
    """Bills inside a turn, as it reaches an amount, add up to the bill of the turn; each but the last has reached one."""
    world = bench.world
    if has_order(world.catalog) or bodies(world.catalog, "aggregate") or "usage(" in str(world.catalog):
        return False
    if '"allocate"' in json.dumps(world.catalog, default=str):
        return False  # a turn that goes on over several bills is shared bill by bill
    columns = ("account", "sku", "price", "step", "kind", "grant")
    if not in_order_only(world):
        if bodies(world.catalog, "bound") or bodies(world.catalog, "round") or lists_of_terms(world.catalog):
            return False  # what later steps see depends on whose share it is
        columns = ("step", "kind")
    found = with_thresholds(bench)
    if found is None:
        return False
    catalog, limits, plain_bill = found
    parts = bench.bill("parts", catalog)
    bench.equal("amount", sums(plain_bill.lines(), *columns), sums(parts.lines(), *columns))
    reached = collections.defaultdict(lambda: ZERO)
    for bill in sorted(parts.bills(), key=lambda b: (b["payer"], b["from"])):
        ends = bill.get("parts", [])
        if len(ends) < 2:
            reached[bill["payer"]] = ZERO  # a turn begins
        reached[bill["payer"]] += num(bill["exact"])
        if ends and times.parse(bill["to"]) < times.parse(ends[-1]):
            raise bench.mismatch("bill %s ends before its part" % bill["bill"])
        is_inside = any(len(other.get("parts", [])) > len(ends) and other["parts"][:len(ends)] == ends
                        and other["payer"] == bill["payer"] for other in parts.bills())
        if ends and is_inside and limits:
            bench.expect(reached[bill["payer"]] >= limits[0], "bill %s of %s is made below %s", bill["bill"],
                         plain(reached[bill["payer"]]), plain(limits[0]))
    return True


def rated_thresholds(bench):
    """What is billed in parts is what the rater has of these parts, whatever the program is; each part but a turn's last ends as a
    threshold is reached, and none is passed over."""
    import sim_bill  # which takes from here
    from rater import Bill
    from setting import Setup
    from usage import Usage
    found, world = with_thresholds(bench), copy.copy(bench.world)
    if found is None:
        return False
    world.catalog = found[0]
    output = bench.bill("parts", world.catalog)
    ends = collections.defaultdict(set)
    for bill in output.bills():
        ends[bill["payer"]] |= {times.parse(end) for end in bill.get("parts", [])}
    setup = Setup(world.catalog, world.accounts, world.all_memberships(), world.overrides, world.period_text)
    for payer in setup.accounts:
        edges = sorted({edge for cut in setup.cuts(payer) for edge in cut} | ends[payer])
        cuts = [(max(cut[0], start), min(cut[1], end)) for cut in setup.cuts(payer) for start, end in zip(edges, edges[1:])
                if max(cut[0], start) < min(cut[1], end)]
        setup.known_cuts[payer] = cuts
    rated, bills, last = Usage(setup, world.lines), [], {}
    for cut, payer in sorted((cut, payer) for payer in setup.accounts for cut in setup.cuts(payer)):
        last[payer] = Bill(setup, payer, cut, rated.rows.get((payer, cut), []), last.get(payer))
        bills.append(last[payer])
    try:
        sim_bill.compare_lines(world, setup, bills, output)
        sim_bill.compare_columns(world, setup, bills, output)
    except sim_bill.Mismatch as why:
        raise bench.mismatch(str(why)) from why
    bench.runner.counts["parts"] += sum(len(cuts) for cuts in ends.values())
    setup = Setup(world.catalog, world.accounts, world.all_memberships(), world.overrides, world.period_text)
    rated, last = Usage(setup, world.lines), {}
    billing = world.catalog["billing"]
    for cut, payer in sorted((cut, payer) for payer in setup.accounts for cut in setup.cuts(payer)):
        last[payer] = Bill(setup, payer, cut, rated.rows.get((payer, cut), []), last.get(payer))
        if setup.billed(payer, cut[0])[0] != cut or last[payer].currency != world.catalog["currency"]:
            continue  # what a turn has come to before is not known; thresholds are of one currency
        if bodies(world.catalog, "aggregate") or any(c.kind == "commitment" for c in last[payer].charges):
            continue  # rows that are one, and turns that are: when their charge is made is another matter
        wanted = reached_at(last[payer], cut, list(map(num, billing["thresholds"])), billing.get("recurring"))
        got = sorted(end for end in ends[payer] if cut[0] < end < cut[1])
        bench.expect(set(got) <= set(wanted), "%s has parts until %s, and reaches thresholds at %s", payer, list(map(times.form, got)),
                     list(map(times.form, wanted)))  # one without a line is no bill, and one behind it names its end
        bench.expect(not got or set(got) == set(wanted), "%s reaches thresholds at %s, and has parts until %s", payer,
                     list(map(times.form, wanted)), list(map(times.form, got)))
    return True


def reached_at(bill, cut, limits, recurring):
    """The ends of the hours in which what a turn has come to reaches the next threshold, but for its last."""
    steps, out, total = collections.Counter(), [], ZERO
    for charge in bill.charges:
        steps[(charge.time + times.HOUR) // times.HOUR * times.HOUR] += charge.amount

    def after(total):
        above = [limit for limit in sorted(limits) if limit > total]
        if above or recurring is None:
            return above[0] if above else None
        base = max(limits, default=ZERO)
        return base + (max(ZERO, (total - base) / num(recurring)) // 1 + 1) * num(recurring)
    limit = after(ZERO)
    for at in sorted(steps):
        total += steps[at]
        if at < cut[1] and limit is not None and total >= limit:
            out.append(at)
            limit = after(total)
    return out


def cut_usage(bench):
    """What three parts of a period count, each with the closing of the one before, is what the whole has."""
    start, end = bench.world.period
    points = sorted((start + (end - start) * bench.rng.randrange(1, 99) // 100) // times.HOUR * times.HOUR for _ in range(2))
    edges = [start, *points, end]
    if has_anchored(bench) or any(a >= b for a, b in zip(edges, edges[1:])):
        return False
    together, options = collections.Counter(), ["--opening", "none"]
    for i, (a, b) in enumerate(zip(edges, edges[1:])):
        part = bench.bill("part%d" % i, period="%s/%s" % (times.form(a), times.form(b)), options=options)
        for key, value in counted(part).items():
            together[key] += value
        options = ["--opening", part.folder + "/closing.ndjson"]
    bench.equal("usage", counted(bench.output), together, within=num("0.00000000000001"))
    return True


def counted(output):
    """Quantities and events of usage."""
    sums = collections.Counter()
    for row in output.rows("usage.csv"):
        key = tuple(row[name] for name in ("payer", "account", "meter", "sku", "resource", "dimensions"))
        sums[key + ("quantity",)] += num(row["quantity"])
        sums[key + ("events",)] += num(row["events"])
    return sums


def has_anchored(bench):
    return any(bench.setup.is_anchored(account) for account in bench.setup.accounts)


# ---- 3 attribution ----

def attribution(bench):
    """The sum over a bucket's rows is the same, whichever attribution."""
    catalog = without_terms(bench.world.catalog)
    before = copy.deepcopy(catalog)
    changed = 0
    for body in bodies(catalog, "tier"):
        if body.get("mode") == "volume" and body.get("clock") != "row":
            if "settle" in body or "position" in body:
                return False
            body["attribute"] = "in_order" if body.get("attribute") != "in_order" else "pro_rata"
            changed += 1
    if not changed or any(len(steps) and any("round" in s or "bound" in s or "roof" in s.values()
                                             for s in steps) for steps in all_steps(catalog)):
        return False
    bench.equal("amount", sums(bench.bill("one", before).lines(), "bill", "step"),
                sums(bench.bill("other", catalog).lines(), "bill", "step"))
    return True


# ---- 4 conservation ----

def conservation(bench):
    """Every accepted event is in one row or one exclusion; a bill's charges are those of its sections."""
    summary = bench.output.summary
    rows = sum(int(row["events"]) for row in bench.output.rows("usage.csv"))
    excluded = sum(int(row["events"]) for row in bench.output.rows("exclusions.csv")
                   if row["reason"] not in ("UNPRICED", "FREE"))
    meters = collections.Counter(m["event"] for m in bench.world.meters.values())
    if max(meters.values()) == 1:
        bench.expect(rows + excluded == summary["accepted"], "%s in rows, %s excluded, %s accepted",
                     rows, excluded, summary["accepted"])
    per_bill = collections.Counter()
    for line in bench.output.lines():
        per_bill[line["bill"]] += num(line["amount"])
    for bill in bench.output.bills():
        bench.expect(per_bill[bill["bill"]] == num(bill["total"]), "%s: %s and %s", bill["bill"],
                     plain(per_bill[bill["bill"]]), bill["total"])
    return True


# ---- 5 identity ----

def identity_tier(bench):
    """A plain rate is one open tier."""
    catalog = copy.deepcopy(bench.world.catalog)
    for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        kept = {}
        for price in owner.get("prices", []):  # one version of each, with a plain rate
            kept.setdefault(price["name"] if isinstance(price, dict) else price, price)
        if "prices" in owner:
            owner["prices"] = list(kept.values())
    for steps in all_steps(catalog):
        steps[:] = [{"rate": Raw("1.25")} if "rate" in step and not isinstance(step["rate"], Raw) else step for step in steps]
    before = copy.deepcopy(catalog)
    changed = 0
    # A step that asks for the contract cuts rows where it changes, and an allowance of events takes its share
    # of each row.
    scopes = ["resource", "account", "organization"]
    if not any("events" in body for body in bodies(catalog, "allowance")):
        scopes.append("contract")
    for price in prices_of(catalog):
        for i, step in enumerate(price["steps"]):
            if "rate" in step and not isinstance(step["rate"], dict):
                scope = bench.rng.choice(scopes)
                price["steps"][i] = {"tier": {"scope": scope, "name": "rate",
                                              "tiers": [{"rate": step["rate"]}]}}
                changed += 1
    if not changed or len({p["name"] for p in prices_of(catalog)}) < len(prices_of(catalog)):
        return False
    # A rate is quantized for each row, a tier along its curve: at most one unit a row between them.
    bench.equal("amount", by_price(bench.bill("rate", before)), by_price(bench.bill("tier", catalog)),
                num("0.000000000000001"))
    return True


def identity_nothing(bench):
    """An allowance of 0, a bound that nothing reaches and a round to 18 digits change nothing."""
    catalog = copy.deepcopy(bench.world.catalog)
    # Not the contract: a step that asks for it cuts rows where it changes. One scope for all: rows are cut
    # where versions differ, too.
    scope = bench.rng.choice(["resource", "account", "organization"])
    for steps in all_steps(catalog):
        if any("fixed" in step for step in steps):
            continue
        steps.insert(0, {"convert": {"multiply": Raw("1"), "name": "nothing1"}})
        steps.insert(1, {"allowance": {"quantity": Raw("0"), "scope": scope, "name": "nothing2"}})
        steps.append({"bound": {"max": Raw("9" * 20), "scope": scope, "name": "nothing3"}})
        steps.append({"round": {"digits": Raw("18"), "name": "nothing4"}})
    bench.equal("amount", by_price(bench.output), by_price(bench.bill("steps", catalog)))
    return True


# ---- 7 scope ----

def scope(bench):
    """A payer alone: scope account, organization and contract give the same bill."""
    world = bench.world
    if len(world.accounts) > 1:
        return False
    catalog = copy.deepcopy(world.catalog)
    dated = len(catalog.get("contracts", [])) > 1 or any(
        "to" in c or times.parse(c["from"]) >= world.period[0] for c in catalog.get("contracts", []))
    chosen = bench.rng.choice(["account", "organization"] + ([] if dated else ["contract"]))
    for kind in ("aggregate", "allowance", "tier", "bound", "round", "convert"):
        for body in bodies(catalog, kind):  # one for all: versions go on in one bucket
            alone = (kind == "convert" and body.get("clock", "row") == "row") or (kind == "round" and body.get("at", "row") == "row")
            if body.get("scope") != "resource" and not alone:  # a row that is alone has none
                body["scope"] = chosen
    if dated and any(b.get("scope") == "contract" for k in ("allowance", "tier", "bound", "round",
                                                            "convert")
                     for b in bodies(world.catalog, k)):
        return False
    bench.equal("amount", by_price(bench.output), by_price(bench.bill("scopes", catalog)))
    return True


# ---- 8 clock ----

def daily_terms(catalog):
    """Steps on charges whose turns are days; without those that know lines (a line is of the whole bill) or grants, and without
    taxes in prices: they end nowhere, and days share their last digit."""
    for steps in [*lists_of_terms(catalog), *all_steps(catalog)]:
        kept = []
        for step in steps:
            (kind, body), = copy.deepcopy(step).items()
            if not isinstance(body, dict):
                kept.append(step)
                continue
            if kind == "credit" or (kind in ("round", *CHARGE_STEPS) and body.get("at") == "line") or (
                    kind == "tax" and ("round" in body or "inclusive" in body)):
                continue
            if kind in (*CHARGE_STEPS, "bound") and (kind != "tax" or "at" in body) or body.get("at") == "bucket":
                body["clock"] = "day"
            kept.append({kind: body})
        steps[:] = kept


def clock(bench):
    """Ten days with equal usage are ten times one day, for programs with daily clocks."""
    world = bench.world
    catalog = copy.deepcopy(world.catalog) if bench.rng.random() < 0.3 else laws_terms.tame(world)
    for kind, key in (("allowance", "quantity"), ("convert", "divide")):
        for body in bodies(catalog, kind):
            if "period" in str(body.get(key, "")):
                body[key] = Raw("3")
    catalog.pop("contracts", None)
    if "contract.n" in str(catalog):  # a name that is none without them
        return False
    catalog["billing"] = {"every": "month"}
    for price in prices_of(catalog):
        price.pop("from", None)
        price.pop("to", None)
    kept = {}
    for price in catalog["prices"]:
        if not any("fixed" in step for step in price["steps"]) and "components" not in price:
            kept.setdefault(price["name"], price)
    catalog["prices"] = list(kept.values())
    catalog.pop("plans", None)
    catalog.pop("default_plan", None)
    for kind in ("aggregate", "allowance", "tier", "bound", "round", "convert"):
        for body in bodies(catalog, kind):
            if body.get("clock") != "row" and not (kind == "convert" and "clock" not in body):
                body["clock"] = "day"
    daily_terms(catalog)
    if any(m.get("grain") == "month" or "clock" in m or m.get("aggregate") in SAMPLED for m in world.meters.values()):
        return False
    if not catalog["prices"]:
        return False
    said = str(catalog["prices"]) + str(catalog.get("steps")) + str(catalog["meters"])
    if "in_calendar" in said or "series" in said:  # no two days are equal
        return False
    one, ten = [], []
    for line, event in usage_events(world)[:12]:
        record = json.loads(line, parse_float=Raw, parse_int=Raw)
        for day in range(10):
            at = times.parse("2026-06-%02dT00:00:00Z" % (day + 1)) + event.at % times.DAY
            copy_of = dict(record, time=times.form(at), id="%s-%d" % (event.id, day))
            ten.append(write_json(copy_of))
            if day == 0:
                one.append(write_json(copy_of))
    accounts = [{"id": record["id"]} for record in world.accounts]

    def inputs(_, folder, lines, changed):
        own = copy.copy(world)
        own.accounts, own.memberships, own.overrides = accounts, [], []
        return bench.inputs(own, folder, lines, changed)
    alone = Bench(world, bench.setup, bench.runner, bench.output, inputs, bench.name, bench.mismatch)
    first = alone.bill("day", catalog, one, "2026-06-01")
    whole = alone.bill("days", catalog, ten, "2026-06-01/2026-06-11")
    columns = ("account", "sku", "price", "step", "kind")
    bench.equal("amount", {k: v * 10 for k, v in sums(first.lines(), *columns).items()},
                sums(whole.lines(), *columns))
    return True


# ---- 10 difference ----

LINE_KEY = ("bill", "account", "sku", "price", "version", "step", "kind", "tier", "rate", "dimensions",
            "unit", "contract", "from", "to", "resource")


def difference(bench):
    """An earlier estimate and the difference to it are the whole; a second difference is empty."""
    world = bench.world
    earlier = [line for line in world.lines if bench.rng.random() < 0.6]
    estimate = bench.bill("estimate", lines=earlier)
    rest = bench.bill("rest", options=["--billed", estimate.folder])
    columns = ("account", "sku", "price", "step", "kind", "tier")
    together = collections.Counter()
    for output in (estimate, rest):
        for key, amount in sums(output.lines(), *columns).items():
            together[key] += amount
    bench.equal("amount", sums(bench.output.lines(), *columns), together)
    totals = collections.Counter()
    for output, sign in ((estimate, 1), (rest, 1), (bench.output, -1)):
        for bill in output.bills():
            totals[bill["payer"]] += sign * num(bill["total"])
    bench.equal("total", {(k,): v for k, v in totals.items() if v}, {})
    again = bench.bill("again", options=["--billed", bench.output.folder])
    bench.expect(not again.lines(), "a second run has %d lines", len(again.lines()))
    third = bench.bill("third", options=["--billed", estimate.folder, "--billed", rest.folder])
    bench.expect(not third.lines(), "the run after the difference has %d lines", len(third.lines()))
    return True


# ---- order ----

def reordered(bench):
    """Whatever order a tier takes its rows in, a bucket comes to the same: F(X) - F(0)."""
    if any(m.get("negative") for m in bench.world.meters.values()):
        return False
    catalog, kept = without_terms(bench.world.catalog), {}
    for price in catalog["prices"]:  # versions: each part of the way has a curve of its own
        price.pop("from", None)
        price.pop("to", None)
        kept.setdefault(price["name"], price)
    catalog["prices"] = list(kept.values())
    others = {name for name, step in catalog.get("steps", {}).items() if set(step) & {"aggregate", "bound"}}
    for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        names = [price["name"] for price in owner.get("prices", []) if isinstance(price, dict)]
        if len(set(names)) < len(names):
            return False
        for price in owner.get("prices", []):
            if isinstance(price, dict):
                if "components" in price:
                    price["components"] = dict(price["components"])
                lists = [(price, "steps"), *((price["components"], name) for name in price.get("components", {}))]
                for of, key in lists:
                    of[key] = [copy.deepcopy(step) for step in of[key] if not (
                        set(step) & {"aggregate", "bound", "round", *CHARGE_STEPS} or step.get("use") in others)]
    plain_bill, changed = bench.bill("plain", catalog), 0
    order = bench.rng.choice(["-quantity", ["-time", "-account"], ["-sku", "quantity"], "-account", ["-resource", "events"]])
    for body in bodies(catalog, "tier"):
        if body.get("mode") != "volume" and "attribute" not in body and "position" not in body:
            body["order"] = order
            changed += 1
    if not changed:
        return False
    columns = ("bill", "step")  # a shared one gives to each price what its rows are in the order
    bench.equal("amount", sums(plain_bill.lines(), *columns), sums(bench.bill("ordered", catalog).lines(), *columns))
    return True


LAWS = [("cut rows", cut_rows), ("attribution", attribution), ("conservation", conservation),
        ("identity tier", identity_tier), ("identity nothing", identity_nothing),
        ("scope", scope), ("clock", clock), ("difference", difference), *laws_terms.LAWS]
APART = [("view", views.law), ("corrections", corrections.corrections),
         ("long corrections", corrections.long_corrections), ("late clocks", corrections.late_clocks), ("late periods", corrections.late_periods), ("months", corrections.months), ("reordered", reordered), ("cut usage", cut_usage), ("thresholds", thresholds), ("rated thresholds", rated_thresholds), *laws_terms.BESIDE,
         *laws_cover.LAWS]  # with seeds of their own


COVERED = ("difference", "conservation", "conservation terms")  # made for worlds with commitments too


def chosen(world, count, only=None):
    """Some laws for a world, in turn; all of them when count is negative; or one by its name."""
    if only:
        return [law for law in LAWS + APART if law[0] == only]
    if count < 0:
        return LAWS + APART
    usual = [LAWS[(world.seed * count + i) % len(LAWS)] for i in range(count)] + [("reordered", reordered)] * (
        world.seed % 5 == 0) + laws_terms.BESIDE * (world.seed % 5 == 2)
    return usual if not world.commitments else [law for law in usual if law[0] in COVERED] + laws_cover.LAWS
