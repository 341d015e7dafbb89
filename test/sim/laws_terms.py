"""The laws of the language for steps over charges.

Random worlds seldom are what a law holds for, so each law makes its own of one: what the law does not hold for is taken out, terms that it
is about are put in, and the changed world is billed twice."""
import collections
import copy
import json

import laws
import times
import world_terms
import world_words
from exact import num, plain
from setting import Step
from usage import WITHDRAWAL, Refused, read_line
from world import Raw, write_json

HUGE = "123456789012345678.25"  # a quantity of worlds
TINY = num("0.000000000001")  # a percentage is rounded to 18 digits for each charge, one of several hundred


def owners(catalog):
    return [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]


def of_world(bench, **changes):
    """The bench with other records."""
    out = copy.copy(bench)
    out.world = copy.copy(bench.world)
    vars(out.world).update(changes)
    return out


def without_overrides(bench):
    return of_world(bench, overrides=[])


def body_of(step):
    (body,) = step.values()
    return body


def has_row_amounts(step):
    """Ratings that know a row by itself."""
    return "formula" in step or isinstance(step.get("percent"), dict) or (
        isinstance(step.get("rate"), dict) and set(step["rate"]) & {"flat", "cases", "from"})


def tame(world, is_linear=False, is_cut=False):
    """A catalog whose steps before terms are in order; linear: that do not mind a row in two parts either; cut: with steps on charges."""
    catalog = copy.deepcopy(world.catalog)
    catalog.pop("profile", None)
    for contract in catalog.get("contracts", []):
        contract.pop("billing", None)
    if "anchor" in catalog.get("billing", {}):
        zone = catalog["billing"].get("zone")
        catalog["billing"] = {"every": "month", **({"zone": zone} if zone else {})}
    for meter in catalog["meters"].values():
        if meter.get("aggregate") in laws.SAMPLED:
            for key in ("value", "percentile", "input"):
                meter.pop(key, None)
            meter["aggregate"] = "count"
        for key in ("grain", "clock", "carry", "negative"):
            meter.pop(key, None)
        if is_linear:
            meter.pop("spread", None)
            meter.pop("where", None)
            meter.update(aggregate="sum", value="data.q", grain="event")
    world_terms.in_advance(catalog)
    for owner in owners(catalog):
        for price in owner.get("prices", []):
            if isinstance(price, dict):
                price.pop("grain", None)
                price["steps"] = copy.deepcopy(price.pop("components", {}).get("one", price["steps"]))
    shared = catalog.get("steps", {})
    gone = {name for name, step in shared.items() if not tame_step(step, is_linear, is_cut)}
    for steps in laws.all_steps(catalog):
        steps[:] = [step for step in steps if step.get("use") not in gone and tame_step(step, is_linear, is_cut)]
        for i, step in enumerate(steps):
            if has_row_amounts(step) if is_linear else isinstance(step.get("percent"), dict):
                steps[i] = {"rate": Raw("1.25")}
    catalog["steps"] = {name: step for name, step in shared.items() if name not in gone}
    if not catalog["steps"]:
        del catalog["steps"]
    return catalog


def tame_step(step, is_linear, is_cut):
    """Changed in place; False: it has to go."""
    (kind, body), = step.items()
    if is_cut and kind in laws.CHARGE_STEPS:
        return tame_term(step, True)
    if kind in ("aggregate", "round", *laws.CHARGE_STEPS) or (is_linear and kind == "convert"):
        return False
    if not isinstance(body, dict) or kind == "rate":
        return True
    for item in body.get("passes", []) if is_linear else ():  # a row in two may be covered in part
        item.pop("whole", None)
        for key in ("where", "order"):
            if "quantity" in str(item.get(key)):
                del item[key]
    for key in ("order", "measure"):
        body.pop(key, None)
    if kind == "tier":
        for key in ("mode", "attribute", "settle", "position"):
            body.pop(key, None)
    if body.get("clock") == "row":  # each half of a row would be a bucket
        del body["clock"]
    if kind == "allowance":
        body.pop("attribute", None)
    if kind == "bound" and "min" in body:
        del body["min"]
        body.pop("attribute", None)
        body.pop("settle", None)
        body.setdefault("max", Raw("17"))
    if kind == "allowance" and ("events" in body or "usage(" in str(body.get("quantity"))):
        body.pop("events", None)
        body["quantity"] = Raw("5")
    return True


def with_terms(bench, catalog, is_cut=False, is_split=False):
    """The catalog with in-order terms: those of the world, and some more of its own.  is_cut: for bills of parts of a turn; is_split: for
    rows in parts."""
    world, rng = bench.world, bench.rng
    kinds = ["discount", "markup", "bound", "fee", "tax", "round", "commit", "credit"]
    for i, owner in enumerate(owners(catalog)):
        if "terms" not in owner and rng.random() < (1 if i == 0 else 0.4):
            owner["terms"] = world_terms.Maker(world, rng, kinds).terms()
        if "terms" in owner:
            owner["terms"] = [term for term in copy.deepcopy(owner["terms"]) if tame_term(term, is_cut)] or [
                {"discount": {"name": "t0", "percent": Raw("12.5")}}]
            for body in (term["credit"] for term in owner["terms"] if is_split and "credit" in term):
                body.pop("largest", None)  # charge for charge: half a row is not
                paid = body.get("kinds", [])  # of what is left each part of a row comes with its own tax, and no term behind sees that
                if len(paid) > 1 and "tax" in paid:
                    body["kinds"] = ["tax"] if rng.random() < 0.5 else [kind for kind in paid if kind != "tax"]
    return catalog


def tame_term(term, is_cut):
    (kind, body), = term.items()
    if kind in ("allocate", "fee") or (kind == "round" and body.get("at") != "bucket"):
        return False  # a fee of each part is at another place among the charges than that of the whole
    for key in ("mode", "attribute", "best", "order") + ("measure",) * (not is_cut):
        body.pop(key, None)
    if body.get("clock") == "row":
        del body["clock"]
    for key, value in body.items():  # of each part it is what was used by then
        if is_cut and isinstance(value, str) and ("usage(" in value or "charges(" in value):
            body[key] = "true" if key == "where" else Raw("7")
    if kind in ("discount", "markup") and "amount" not in body:
        body.pop("settle", None)
    if "quantity" in body:
        body["amount"] = Raw("7")
        del body["quantity"]
    if kind in ("discount", "markup") and "amount" in body and is_cut:
        body["attribute"] = "in_order"
        body.pop("settle", None)
    if kind == "discount":  # of the gross base no more is taken than is left of a charge, whatever there is of its other half
        body.pop("base", None)
    if any(word in body.get("where", "") for word in ("amount", "net")):
        body["where"] = 'kind == "usage"'
    if kind == "tax":
        body.pop("round", None)
        body.pop("at", None)
    if kind == "credit":
        for grant in body["grants"]:
            if any(word in grant.get("where", "") for word in ("amount", "net")):
                del grant["where"]
        if is_cut:
            body.pop("clock", None)
            body.pop("targets", None)
            body.pop("largest", None)
    return True


# ---- 1 cut ----

def cut_rows(bench):
    """An event in two of half its quantity each: two rows, and the same charges and terms."""
    catalog, world = with_terms(bench, tame(bench.world, is_linear=True), is_split=True), bench.world
    lines, split = [], 0
    seen, named = laws.collections.Counter(), set()
    for line in world.lines:
        try:
            records = read_line(line)
        except Refused:
            continue
        seen.update((record.get("source"), record.get("id")) for record in records)
        named |= {str(record["data"].get("id")) for record in records if record.get("type") == WITHDRAWAL}
    events = dict(laws.usage_events(world))
    for line in world.lines:
        event = events.get(line)
        record = json.loads(line, parse_float=Raw, parse_int=Raw) if event else None
        if not event or seen[(event.source, event.id)] > 1 or event.id in named or not isinstance(record["data"].get("q"), Raw):
            lines.append(line)
            continue
        for part in ("", "-half"):
            piece = copy.deepcopy(record)
            piece["id"] += part
            piece["data"]["q"] = Raw(plain(num(record["data"]["q"]) / 2))
            lines.append(write_json(piece))
        split += 1
    if not split:
        return False
    columns = ("bill", "account", "sku", "price", "step", "kind", "grant")
    bench.equal("amount", laws.sums(bench.bill("whole", catalog).lines(), *columns),
                laws.sums(bench.bill("halves", catalog, lines=lines).lines(), *columns), TINY)
    return True


def cut_period(bench):
    """Two or three parts of a turn, each with the closing of the one before, are the turn."""
    start, end = bench.world.period
    points = {(start + (end - start) * bench.rng.randrange(1, 9) // 10) // times.HOUR * times.HOUR for _ in range(2)}
    return add_up(bench, [start, *sorted(points), end])


def two_periods(bench):
    """This period and the next, with closing and opening, are the bill of both."""
    start, end = bench.world.period
    return add_up(bench, [start, end, end + (end - start)])


def say_numbers(catalog):
    """What a bucket asks of its customer is asked once in each bill: of the first row there, or as it is made."""
    for steps in [*world_words.step_lists(catalog), [{kind: body} for step in catalog.get("steps", {}).values() for kind, body in step.items()]]:
        for step in steps:
            ((kind, body),) = step.items()
            if not isinstance(body, dict):
                continue
            for key, value in body.items():
                at_its_time = kind in laws.CHARGE_STEPS and value == world_words.MOVING  # of a charge on a scope: its bill's end
                if (value == world_words.NUMBER and kind not in ("rate", "percent")) or at_its_time:
                    body[key] = Raw("2")
            if "customer." not in str(body) or body.get("settings_at") == "invoice":
                body.pop("settings_at", None)


def add_up(bench, edges):
    world, start = bench.world, edges[0]
    catalog = with_terms(bench, tame(world, is_cut=True), is_cut=True)
    if catalog.get("currencies", {}).get("settings_at") == "invoice":
        del catalog["currencies"]["settings_at"]  # each part has an invoice
    for key in ("digits", "mode"):  # and is rounded
        catalog.get("currencies", {}).pop(key, None)
    say_numbers(catalog)
    if any(a >= b for a, b in zip(edges, edges[1:])) or "commitments" in catalog:  # whose turns are billed as a whole
        return False
    columns = ("account", "sku", "price", "step", "kind", "grant")
    together, options = laws.collections.Counter(), ["--opening", "none"]
    for i, (a, b) in enumerate(zip(edges, edges[1:])):
        part = bench.bill("part%d" % i, catalog, period="%s/%s" % (times.form(a), times.form(b)), options=options)
        for key, amount in laws.sums(part.lines(), *columns).items():
            together[key] += amount
        options = ["--opening", part.folder + "/closing.ndjson"]
    whole = bench.bill("whole", catalog, period="%s/%s" % (times.form(start), times.form(edges[-1])), options=["--opening", "none"])
    bench.equal("amount", laws.sums(whole.lines(), *columns), together, TINY)
    return True


# ---- 3 attribution ----

def attribution(bench):
    """Whichever charges a whole-bucket term's total is put on, it is the same."""
    rng, world = bench.rng, bench.world
    maker = world_terms.Maker(world, rng, [])
    kind = rng.choice(["amount", "volume", "minimum"])
    if kind == "amount":
        term, ways = {"discount": {"amount": maker.money()}}, ["in_order", "pro_rata", "none"]
    elif kind == "volume":
        term, ways = {rng.choice(["discount", "markup"]): {"tiers": maker.tiers(), "mode": "volume"}}, ["pro_rata", "none"]
    else:
        term, ways = {"bound": {"min": maker.money(5, 60)}}, ["pro_rata", "none"]
    maker.place(body_of(term))
    found = []
    for way in rng.sample(ways, 2):
        catalog = laws.without_terms(world.catalog)
        body_of(term).update(name="last", attribute=way)
        catalog["terms"] = [copy.deepcopy(term)]
        found.append(laws.sums(bench.bill(way, catalog).lines(), "bill", "step", "kind"))
    bench.equal("amount", *found, TINY)
    return True


# ---- 4 conservation ----

def conservation(bench):
    """A term more adds its own charges, and leaves all others as they are."""
    world, rng = bench.world, bench.rng
    catalog = copy.deepcopy(world.catalog)
    terms = [term for term in catalog.get("terms", []) if "best" not in body_of(term)]
    if len(terms) < len(catalog.get("terms", [])) or any("round" in term for term in terms):
        terms = []
    kinds = ["discount", "markup", "bound", "fee", "tax", "commit", "credit", "round"]
    more = world_terms.Maker(world, rng, kinds).one()
    body_of(more)["name"] = "more"
    if body_of(more).get("scope", "contract" if "commit" in more else "") == "contract":
        body_of(more)["scope"] = "organization"  # what asks for the contract cuts rows where it changes
    body_of(more).pop("clock", None)  # so does a clock of its own
    body_of(more).pop("targets", None)
    body_of(more).pop("largest", None)
    body_of(more).pop("resets", None)  # and what its grants say of time
    body_of(more).pop("keep_overage", None)
    for grant in body_of(more).get("grants", []):
        for name in ("from", "to", "void", "every", "rollover", "cost"):
            grant.pop(name, None)
    catalog["terms"] = terms
    if not terms:
        del catalog["terms"]
    before = bench.bill("before", catalog)
    catalog["terms"] = terms + [more]
    after = bench.bill("after", catalog)
    columns = ("bill", "account", "sku", "price", "step", "kind", "grant", "level")
    own = [line for line in after.lines() if line["step"] == "more" and line["level"] == "catalog terms"]
    rest = [line for line in after.lines() if not (line["step"] == "more" and line["level"] == "catalog terms")]
    bench.equal("amount", laws.sums(before.lines(), *columns), laws.sums(rest, *columns), TINY)
    totals = [laws.sums(lines, "bill") for lines in (before.lines(), own, after.lines())]
    for key in set(totals[0]) | set(totals[2]):
        a, b, c = (side.get(key, num(0)) for side in totals)
        bench.expect(abs(a + b - c) <= TINY, "%s: %s and %s are not %s", key, plain(a), plain(b), plain(c))
    return True


# ---- 5 identity ----

NOTHING = [
    {"discount": {"percent": Raw("0")}}, {"markup": {"percent": Raw("0")}}, {"discount": {"amount": Raw("0")}},
    {"discount": {"tiers": [{"up_to": Raw("3"), "percent": Raw("0")}, {"percent": Raw("0")}]}},
    {"bound": {"max": Raw("9" * 20)}}, {"bound": {"min": Raw("0"), "max": Raw("9" * 20)}},
    {"fee": {"percent": Raw("0")}}, {"fee": {"percent": Raw("30"), "where": "false"}},
    {"credit": {"grants": [], "overage": "bill"}},
    {"credit": {"grants": [{"id": "gone", "amount": Raw("50"), "to": "2020-01-01"}], "overage": "bill"}},
    {"credit": {"grants": [{"id": "empty", "amount": Raw("0")}], "overage": "bill"}},
    {"commit": {"amount": Raw("50"), "overage": Raw("1"), "shortfall": "none"}},
    {"commit": {"amount": Raw("0"), "overage": Raw("1")}},
    {"tax": {"percent": Raw("0")}}, {"tax": {"percent": Raw("0"), "inclusive": Raw("true")}}, {"tax": {"percent": Raw("19"), "exempt": "true"}},
    {"round": {"digits": Raw("18")}}]


def takes_back(output):
    """Whether a sum of charges may lie below nothing, so that a minimum of 0 is owed: something is given back, or a cap whose measure is more
    than the charge takes more than that."""
    untaxed = [line for line in output.lines() if line["kind"] != "tax"]
    return any(num(row["quantity"]) < 0 for row in output.rows("usage.csv")) or any(
        num(line["exact"]) < 0 and line["kind"] in ("usage", "fee") for line in untaxed) or any(
        amount < 0 for amount in laws.sums(untaxed, "bill", "account", "sku").values())


def identity(bench):
    """Terms that do nothing, wherever they stand."""
    catalog, is_below = copy.deepcopy(bench.world.catalog), takes_back(bench.output)
    for owner in [catalog, *(owner for owner in owners(catalog)[1:] if "terms" in owner)]:  # a first term of a plan or contract cuts rows
        terms = owner.setdefault("terms", [])
        for i, term in enumerate(copy.deepcopy(bench.rng.sample(NOTHING, 4))):
            (kind, body), = term.items()
            body["name"] = "nothing%d" % i
            if is_below and kind == "bound":
                body.pop("min", None)
            elif is_below and kind == "commit":
                body["shortfall"] = "none"
            if kind in ("commit", "credit") or (kind != "round" and bench.rng.random() < 0.5):
                body["scope"] = bench.rng.choice(["account", "organization"])
            terms.insert(bench.rng.randrange(len(terms) + 1), term)
    columns = ("bill", "account", "sku", "price", "step", "kind", "grant")
    bench.equal("amount", *(laws.sums(bench.bill(name, prices).lines(), *columns) for name, prices in (("plain", None), ("terms", catalog))),
                TINY)
    return True


# ---- 6 monotone ----

def monotone(bench):
    """More usage never lowers the sum with a most, graduated percentages, promises or grants.

    Over everything of a payer, behind prices that more usage makes dearer; over less than that, behind plain rates: else what one bucket
    has more another has less, and they are not treated alike."""
    world, rng = bench.world, bench.rng
    catalog = laws.without_terms(tame(world))
    maker = world_terms.Maker(world, rng, [])
    term = {rng.choice(["discount", "markup"]): {"tiers": maker.tiers()}}
    kind = rng.choice(["tiers", "most", "amount", "fee", "commit", "credit"])
    if kind == "most":
        term = {"bound": {"max": maker.money(10, 60)}}
    elif kind == "amount":
        term = {"discount": {"amount": maker.money()}}
    elif kind == "fee":
        term = {"fee": {"tiers": maker.tiers()}}
    elif kind == "commit":
        term = {"commit": {"amount": maker.money(5, 60), "overage": Raw(maker.pick("1.5", "0.5"))}}
    elif kind == "credit":
        term = {"credit": {"grants": [{"amount": maker.money(2, 40)}]}}
    body = body_of(term)
    body.update(name="last", scope="organization")
    is_plain = rng.random() < 0.5
    if is_plain:
        catalog.pop("steps", None)
        maker.place(body, by=kind != "credit", clocks=kind != "credit")
    for owner in owners(catalog):
        kept = {}
        for price in owner.get("prices", []):
            if not isinstance(price, dict):
                kept[price] = price
            elif "fixed" in price["steps"][0]:
                kept[price["name"], len(kept)] = price
            elif price["name"] not in kept:  # another version would be at another place of its curve
                for key in ("from", "to"):
                    price.pop(key, None)
                price["steps"] = [{"rate": Raw("1.25")} if has_row_amounts(step) else step for step in price["steps"]
                                  if "bound" not in step and step.get("use") != "roof"]
                if is_plain:
                    price["steps"] = [{"rate": world.rate(rng)}]
                kept[price["name"]] = price
        if "prices" in owner:
            owner["prices"] = list(kept.values())
    for meter in catalog["meters"].values():
        if meter.get("aggregate") in ("latest", "min"):
            meter["aggregate"] = "max"
    catalog["terms"] = [term]
    events = laws.usage_events(world)
    if not events:
        return False
    lines = [line.replace(HUGE, HUGE[-6:]) for line in world.lines]  # with other prices it may come to more than a number can hold
    more = []
    for line, event in rng.sample(events, min(5, len(events))):
        record = json.loads(line, parse_float=Raw, parse_int=Raw)
        record["id"] = "more-" + event.id
        more.append(write_json(record).replace(HUGE, HUGE[-6:]))
    bench = without_overrides(bench)
    before, after = (laws.sums(bench.bill(name, catalog, lines=lines).lines(), "bill")
                     for name, lines in (("less", lines), ("more", lines + more)))
    sums = collections.defaultdict(lambda: [num(0), num(0)])
    for bill, in sorted(before):  # a turn may be longer than a bill: of all so far, since what is owed in one is not owed again
        sum_of = sums[bill.rsplit("/", 2)[0]]
        sum_of[0] += before[bill,]
        sum_of[1] += after.get((bill,), num(0))
        bench.expect(sum_of[1] >= sum_of[0] - TINY, "up to %s it fell from %s to %s with %s", bill, plain(sum_of[0]), plain(sum_of[1]), term)
    return True


# ---- 7 scope ----

def begins_inside(bench, catalog, contract):
    """Whether a contract begins inside the bills, or in a turn of which a term counts the days or waits for the end: the time before has
    a bucket of its own."""
    begin, first = times.parse(contract["from"]), bench.world.period[0]
    waits = [Step(term, ("law",), None) for terms in laws.lists_of_terms(catalog) for term in terms
             if "prorate" in body_of(term) or "min" in body_of(term) or set(term) & {"commit", "fee"}]
    starts = [bench.setup.turn(step, contract["buyer"], contract["buyer"], first, contract)[0] for step in waits if step.clock != "row"]
    return begin >= first or any(begin > start for start in starts)


def scope(bench):
    """A payer alone: terms on its account, its organization, its contract come to the same."""
    world, rng = bench.world, bench.rng
    alone = world.ids[rng.randrange(len(world.ids))]
    single = of_world(bench, memberships=[], overrides=[override for override in world.overrides if override["account"] == alone],
                      accounts=[{k: v for k, v in record.items() if k != "organization"} for record in world.accounts
                                if record["id"] == alone])
    catalog = copy.deepcopy(world.catalog)
    contracts = [contract for contract in catalog.pop("contracts", []) if contract["buyer"] == alone]
    for contract in contracts:  # accounts that are not there have no commitments
        if "commitments" in contract:
            contract["commitments"] = [own for own in contract["commitments"] if own.get("account", alone) == alone]
    if contracts:
        catalog["contracts"] = contracts
    if "terms" not in catalog:
        catalog["terms"] = world_terms.Maker(world, rng, ["discount", "markup", "bound", "fee", "commit", "credit"]).terms()
    if "contract.n" in str(catalog):  # a name of contracts that may not be left
        return False
    dated = len(contracts) > 1 or any("to" in c or begins_inside(bench, catalog, c) for c in contracts)
    lines = [write_json(dict(json.loads(line, parse_float=Raw, parse_int=Raw), subject=alone)) for line, _ in laws.usage_events(world)]
    scopes, found = ["account", "organization"] + ([] if dated else ["contract"]), []
    for chosen in rng.sample(scopes, 2):
        changed = copy.deepcopy(catalog)
        for terms in laws.lists_of_terms(changed):
            for term in terms:
                (kind, body), = term.items()
                if body.get("scope") != "resource" and (kind != "round" or body.get("at") == "bucket") and kind != "tax":
                    body["scope"] = chosen
                    for grant in body.get("grants", []):
                        grant.pop("account", None)
                    body.pop("share", None)
        found.append(laws.sums(single.bill(chosen, changed, lines).lines(), "bill", "account", "sku", "price", "step", "kind", "grant"))
    bench.equal("amount", *found, TINY)
    return True


def pooled(bench):
    """Tiers whose rates fall never cost more over the organization than over each account."""
    world, rng = bench.world, bench.rng
    catalog, kept = laws.without_terms(tame(world)), set()
    catalog.pop("steps", None)
    for owner in owners(catalog):
        for price in owner.get("prices", []):
            if not isinstance(price, dict) or "fixed" in price["steps"][0]:
                continue
            for key in ("from", "to"):
                price.pop(key, None)
            rates = sorted((rng.randrange(0, 500) for _ in range(3)), reverse=True)
            ends = sorted(rng.sample(range(1, 60), 2))
            price["steps"] = [{"tier": {"tiers": [
                {"up_to": Raw(str(ends[0])), "rate": Raw(plain(num(rates[0]) / 100))},
                {"up_to": Raw(str(ends[1])), "rate": Raw(plain(num(rates[1]) / 100))}, {"rate": Raw(plain(num(rates[2]) / 100))}]}}]
        if "prices" in owner:  # one version of each
            owner["prices"] = [price for price in owner["prices"] if not isinstance(price, dict) or "fixed" in price["steps"][0] or not (
                (id(owner), price["name"]) in kept or kept.add((id(owner), price["name"])))]
    bench, sums = without_overrides(bench), []
    for scope in ("account", "organization"):
        for price in laws.prices_of(catalog):
            if "tier" in price["steps"][0]:
                price["steps"][0]["tier"]["scope"] = scope
        sums.append(laws.sums(bench.bill(scope, copy.deepcopy(catalog)).lines(), "bill"))
    for bill in sums[1]:
        alone, together = sums[0].get(bill, num(0)), sums[1][bill]
        bench.expect(together <= alone + TINY, "%s: %s together, %s alone", bill, plain(together), plain(alone))
    return True


# ---- 12 shared ----

def shared(bench):
    """A shared step `by: [sku]` in all prices, each of one SKU, is a private one in each."""
    world, rng = bench.world, bench.rng
    catalog, prices = copy.deepcopy(world.catalog), {}
    for owner in owners(catalog):
        for price in owner.get("prices", []):
            if isinstance(price, dict) and isinstance(price["sku"], str) and price["sku"] in world.skus:
                prices.setdefault(price["sku"], {"sku": price["sku"], "name": price["sku"]})
        if "prices" in owner:
            owner["prices"] = []
    steps = {"pool": world.allowance(rng), "joint": world.tier(rng), "roof": world.bound(rng)}
    for step in steps.values():
        body = body_of(step)
        body["by"] = [key for key in body.get("by", []) if key != "sku"] + ["sku"]
        if body.get("clock") == "row" or "usage(" in str(body.get("quantity")) or "events" in body:
            return False
    used = rng.sample(sorted(steps), rng.randrange(1, 4))
    if {"joint"} & set(used):
        chain = [name for name in ("pool", "joint", "roof") if name in used]
    else:
        chain = [name for name in ("pool", None, "roof") if name in used or name is None]
    rates = {sku: world.rate(rng) for sku in prices}

    def build(is_shared):
        out = copy.deepcopy(catalog)
        out["prices"] = [dict(price, steps=[
            {"rate": rates[sku]} if name is None else {"use": name} if is_shared else
            {kind: dict(copy.deepcopy(body), name=name) for kind, body in steps[name].items()} for name in chain])
            for sku, price in prices.items()]
        out.pop("steps", None)
        if is_shared:
            out["steps"] = {name: copy.deepcopy(steps[name]) for name in used}
        return out
    if not prices:
        return False
    bench = without_overrides(bench)
    bench.equal("amount", laws.by_price(bench.bill("shared", build(True))), laws.by_price(bench.bill("private", build(False))))
    return True


def in_one_currency(law):
    """Terms say money of the catalog's currency."""
    def hold(bench):
        catalog = copy.deepcopy(bench.world.catalog)
        for owner in [*catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
            owner.pop("currency", None)
        accounts = [{k: v for k, v in record.items() if k != "currency"} for record in bench.world.accounts]
        return law(of_world(bench, accounts=accounts, catalog=catalog))
    return hold


LAWS = [(name, in_one_currency(law)) for name, law in (
    ("cut rows in two", cut_rows), ("cut period", cut_period), ("two periods", two_periods), ("attribution terms", attribution),
    ("conservation terms", conservation), ("identity terms", identity), ("monotone", monotone), ("scope terms", scope),
    ("shared", shared))]
BESIDE = [("pooled", in_one_currency(pooled))]
