"""Words that came later, each from a stream of its own, so that a world without one stays as it was."""
import times
import world_terms
from world import SAID, Raw
from world_currency import DIGITS


def add(world):
    installments(world, world.rng("installments"))
    rounding(world, world.rng("rounding"))
    customers(world, world.rng("customers"))
    wallets(world, world.rng("wallets go along"))
    say_more(world, world, "words/", (tier_percents, settled_tiers, both_limits, part_digits, amounts, filters, override_scopes,
                                    lookups, limits, both_ends, whole_parts, standing, totals, wallet_keys, units, lists, own_currencies, spots, row_tables, meter_tables, options, groups, long_rollover,
                                    pers, more_keys, restarts, row_clocks, flats, spread_least, more_clocks, attribute_prices, cover_words, periods,
                                    override_covers, meter_usage, more_scopes))


def say_more(world, of, stream, others=()):
    """What steps on charges say besides, and others; streams are of a world that may be another one."""
    for word in (clocks, orders, measures, attributes, parts, *others):
        rng = of.rng(stream + word.__name__)
        if rng.random() < 0.2 or word.__name__ in SAID:
            word(world, rng)


def fixed_steps(catalog):
    for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        for price in owner.get("prices", []):
            if isinstance(price, dict):
                yield from (step for step in price["steps"] if "fixed" in step)


def installments(world, rng):
    """Some fixed amounts fall due on dates, most of them in the period, some as it begins or ends."""
    for step in fixed_steps(world.catalog):
        if rng.random() < 0.75:
            continue
        dates = {world.moment(rng, odd=rng.random() < 0.4) for _ in range(rng.choice([1, 1, 2, 3]))}
        if rng.random() < 0.4:
            dates.add(rng.choice([*world.period, world.period[0] - 40 * times.DAY, *world.edges]))
        body = {key: value for key, value in step["fixed"].items() if key in ("quantity", "scope", "name")}
        body["installments"] = [{"date": world.date(at), "amount": world.money(rng)} for at in sorted(dates)]
        step["fixed"] = body
        world.has("fixed.installments")


def rounding(world, rng):
    """Some contracts have a rounding of their own, which may leave a part of it to the catalog's."""
    catalog = world.catalog
    if "rounding" not in catalog and rng.random() < 0.1:
        catalog["rounding"] = rng.choice(["exact", {"digits": "currency"}, {"mode": "floor"}])
    for contract in catalog.get("contracts", []):
        if rng.random() < 0.35:
            contract["rounding"] = rng.choice([{"digits": Raw("2")}, {"digits": Raw("0"), "mode": "up"}, {"mode": "floor"}, {"at": "total"},
                                               {"at": "line"}, {"digits": "currency"}, {"digits": Raw("3"), "at": "total"}, "exact"])
            world.has("rounding.contract")


# ---- what is asked of a customer ----

COUNTRY = 'has(customer.tax.country) && customer.tax.country == "DE"'
NUMBER = "has(customer.tax.n) ? customer.tax.n : 2"
NUMBERS = {"fixed": "quantity", "allowance": "quantity", "rate": "rate", "percent": "rate", "discount": "percent", "markup": "percent",
           "fee": "percent", "bound": "max", "commit": "overage"}


def customers(world, rng):
    """Accounts say where they are taxed, what they are and a number, for a time or always; steps ask for it, at several instants."""
    if rng.random() < 0.55:
        return
    for record in world.accounts:
        if rng.random() < 0.7:
            record["settings"] = [item for name in ("country", "vat", "exempt", "n") if rng.random() < 0.6
                                  for item in values(world, rng, name)]
            world.has("customer.settings")
    for steps in step_lists(world.catalog):
        for i, step in enumerate(steps):
            ((kind, body),) = step.items()
            key = "cases" if kind == "rate" and isinstance(body, dict) and "cases" in body else NUMBERS.get(kind)
            if kind == "tax" and rng.random() < 0.7:
                tax(body, rng)
            elif key == "cases" and rng.random() < 0.5:
                body["cases"][0]["where"] = COUNTRY
            elif key is not None and rng.random() < 0.3 and isinstance(body, dict if kind != "rate" else Raw):
                if kind == "rate":
                    steps[i] = {"rate": {"rate": NUMBER}}
                    body = steps[i]["rate"]
                elif not isinstance(body.get(key), Raw) or "rollover" in body or "min" in body or kind == "fixed":
                    continue
                else:
                    body[key] = NUMBER
            elif kind in ("discount", "markup", "fee", "bound") and "where" not in body and rng.random() < 0.15:
                body["where"] = COUNTRY
            if "customer." in str(step):
                world.has("customer." + kind)
                if rng.random() < 0.5:
                    (body,) = steps[i].values()
                    body["settings_at"] = rng.choice(["row", "turn_start", "turn_end", "invoice"])
                    world.has("customer." + body["settings_at"])


def step_lists(catalog):
    owners = [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]
    for owner in owners:
        for price in owner.get("prices", []):
            if isinstance(price, dict):
                yield from [price["steps"], *price.get("components", {}).values()]
        yield owner.get("terms", [])


def tax(body, rng):
    body["percent"] = COUNTRY + " ? 19 : 7.5"
    if rng.random() < 0.4:
        body.pop("reverse_charge", None)
        body["exempt"] = "has(customer.tax.exempt) && customer.tax.exempt"
    elif rng.random() < 0.6:
        body.pop("exempt", None)
        body["reverse_charge"] = "has(customer.tax.vat) && !(%s)" % COUNTRY


def values(world, rng, name):
    """What an account says under a name: always, from or until a time, or one thing after another."""
    choices = {"country": ["DE", "FR", "AT"], "vat": ["V1", "V2"], "exempt": ["true", "false"], "n": ["1", "3", "12.5", "0"]}[name]
    dates = sorted({world.moment(rng, odd=rng.random() < 0.5) for _ in range(rng.choice([0, 1, 1, 2]))})
    world.edges += dates
    spans = list(zip([None, *dates], [*dates, None]))
    if len(spans) > 1 and rng.random() < 0.4:
        spans.pop(rng.randrange(len(spans)))
    return [{"setting": "tax." + name, "value": rng.choice(choices), **({"from": world.date(start)} if start else {}),
             **({"to": world.date(end)} if end else {})} for start, end in spans]


def wallets(world, rng):
    """Wallets that accounts take along from turn to turn, where turns of all payers begin together."""
    catalog = world.catalog
    if world.billing_kind not in ("none", "zone", "week", "quarter") or "'billing'" in str(catalog.get("contracts", [])) or (
            "currencies" in catalog or rng.random() < 0.6):  # what is left would be of another currency
        return
    if rng.random() < 0.6:
        made = world_terms.Maker(world, rng, []).credit()
        made.update(name="along", scope="account")
        if rng.random() < 0.5:
            made["share"] = rng.choice(["own_first", "all"])
        owner = rng.choice([catalog, catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])])
        owner.setdefault("terms", []).insert(0, {"credit": made})
    bodies = [body for steps in step_lists(catalog) for step in steps for kind, body in step.items() if kind == "credit"]
    bodies = [body for body in bodies if body.get("scope", "account") == "account"]
    for body in bodies:
        body.pop("top_up", None)
        for grant in body["grants"]:
            grant.pop("cost", None)
        body["settings_at"] = "turn_start"
        body["overage"] = "bill"  # whatever a profile says
        world.has("wallets.along")
        if world.several:
            world.has("wallets.along.turns")


# ---- what steps on charges say besides ----

CHARGES = ("discount", "markup", "fee", "commit", "bound", "allocate")


def charge_steps(catalog):
    """(kind, body, whether it is a term) of the steps on charges."""
    terms = [term for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]
             for term in owner.get("terms", [])]
    for steps in step_lists(catalog):
        for step in steps:
            ((kind, body),) = step.items()
            if kind in CHARGES and isinstance(body, dict):
                yield kind, body, any(step is term for term in terms)


def clocks(world, rng):
    """Turns that begin with an account or a contract, or in another zone; hours."""
    for kind, body, _ in charge_steps(world.catalog):
        if rng.random() < 0.5 and body.get("clock") not in ("always", "row") and not ("limit" in body and "turns" in body["limit"]):
            is_short = world.period[1] - world.period[0] < 11 * times.DAY  # the rater looks at each hour of each account
            body["clock"] = rng.choice(["own_month", "own_month", "since_contract", "since_contract", "tokyo_day"] + ["hour"] * is_short)
            world.has("charges.clock." + body["clock"])


def orders(world, rng):
    """An order of its own, one for all steps of a kind: versions share it."""
    chosen = {}
    for kind, body, is_term in charge_steps(world.catalog):
        if kind == "bound" and not is_term or "exclusive" in body:
            continue
        if kind not in chosen:
            chosen[kind] = rng.choice([None, ["net"], ["-net", "sku"], "-account", ["-amount"], ["-step", "kind"], ["-time"],
                                       ["product", "-quantity"]])
        if chosen[kind]:
            body["order"] = chosen[kind]
            world.has("charges.order." + kind)


def measures(world, rng):
    for kind, body, _ in charge_steps(world.catalog):
        if kind in ("discount", "markup", "fee", "bound") and "quantity" not in body and "measure" not in body and rng.random() < 0.5:
            body["measure"] = rng.choice(["amount", "net / 2", "quantity * 0.5", "min(net, 5)"])
            world.has("charges.measure." + kind)


def attributes(world, rng):
    """How what is taken off, or put on, reaches its charges."""
    for kind, body, _ in charge_steps(world.catalog):
        if kind not in ("discount", "markup") or {"quantity", "exclusive", "settle"} & set(body) or rng.random() < 0.4:
            continue
        body["attribute"] = rng.choice(["none", "pro_rata"] + ["in_order"] * (body.get("mode") != "volume"))
        world.has("charges.attribute." + body["attribute"])


def parts(world, rng):
    """Amounts, units and limits of discounts by the part of the turn."""
    for kind, body, _ in charge_steps(world.catalog):
        if kind in ("discount", "markup") and ({"amount", "quantity"} & set(body) or "amount" in body.get("limit", {})) and (
                body.get("clock") != "always"):
            body["prorate"] = rng.choice(["day", "second", "day_inclusive", "30_day"])
            world.has("charges.prorate")


# ---- what steps on usage say besides ----

def usage_steps(catalog, *kinds):
    lists = [*step_lists(catalog), list(catalog.get("steps", {}).values())]
    seen = []
    for steps in lists:
        for step in steps:
            ((kind, body),) = step.items()
            if kind in kinds and isinstance(body, dict) and not any(body is other for other in seen):
                seen.append(body)
                yield body


def tier_percents(world, rng):
    """Percentages in place of rates."""
    for body in usage_steps(world.catalog, "tier"):
        for tier in body["tiers"] if "position" not in body or body.get("mode") == "volume" else ():
            if "rate" in tier and rng.random() < 0.6:
                tier["percent"] = tier.pop("rate")
                world.has("tier.percent")


def settled_tiers(world, rng):
    """What waits for the turn's end though it is graduated."""
    for body in usage_steps(world.catalog, "tier"):
        if body.get("clock") != "row" and body.get("mode") != "volume" and body.get("attribute") in ("none", "pro_rata") and (
                rng.random() < 0.6):
            body["settle"] = "at_end"
            world.has("tier.settle.graduated")


def both_limits(world, rng):
    """So many units, or so many events, whichever is first."""
    for body in usage_steps(world.catalog, "allowance"):
        if "quantity" in body and "events" not in body and "rollover" not in body and "attribute" not in body and rng.random() < 0.5:
            body["events"] = Raw(rng.choice(["1", "2", "5"]))
            world.has("allowance.both")


def part_digits(world, rng):
    """Parts of turns that are rounded."""
    for body in usage_steps(world.catalog, "allowance", "bound", "commit", "fee"):
        if body.get("prorate", "none") != "none" and "digits" not in body and rng.random() < 0.7:
            body["digits"] = Raw(rng.choice(["1", "3", "9"]))
            if rng.random() < 0.5 and not {"tiers", "percent"} & set(body):
                body["mode"] = rng.choice(["half_up", "up", "down"])
            world.has("prorate.digits")


def amounts(world, rng):
    """Fixed amounts that are computed."""
    for step in fixed_steps(world.catalog):
        if "amount" in step["fixed"] and rng.random() < 0.6:
            step["fixed"]["amount"] = rng.choice(["period.days / 7", "period.hours / 3", "turn.hours * 0.01", "turn.days"] if (
                step["fixed"].get("when") != "once") else ["period.days / 7"])
            world.has("fixed.amount.expression")


def filters(world, rng):
    """Conversions and roundings of some rows or charges only."""
    for kind in ("convert", "round"):
        for body in usage_steps(world.catalog, kind):
            if "where" not in body and rng.random() < 0.5:
                body["where"] = world.condition(rng).replace("attributes.family ==", "has(attributes.family) && attributes.family ==")
                world.has("where." + kind)


def override_scopes(world, rng):
    """Own prices that accounts share tiers of, with amounts for each tier."""
    by_price = {}
    for row in world.overrides:
        key = row["account"], row["sku"], row.get("from"), row.get("to")
        if key not in by_price:
            by_price[key] = rng.choice([None, "resource", "organization", "contract", "account"])
        if by_price[key] and "up_to" in row:
            row["scope"] = by_price[key]
            world.has("override.scope")
        if rng.random() < 0.4:
            row["flat"] = world.rate(rng)
            world.has("override.flat")


# ---- tables with dates ----

MOVING = 'lookup("moving", "n")'

def lookups(world, rng):
    """Numbers that a table with dates says: asked at the row's time where a step has no bucket, else as its turn begins."""
    dates = sorted({world.moment(rng, odd=rng.random() < 0.5) for _ in range(rng.choice([1, 2, 3]))})
    world.edges += dates
    numbers = [Raw(rng.choice(["0", "0.5", "2", "3.75", "7", "12"])) for _ in range(len(dates) + 1)]
    world.catalog["tables"]["moving"] = {"keys": ["what"], "dated": True, "rows": [
        ["n", number] + ([world.date(at)] if at else []) for at, number in zip([None, *dates], numbers)]}
    asked = MOVING
    for steps in [*step_lists(world.catalog), list(world.catalog.get("steps", {}).values())]:
        for i, step in enumerate(steps if isinstance(steps, list) else ()):
            ((kind, body),) = step.items()
            if rng.random() < 0.5 or kind == "use":
                continue
            if not isinstance(body, dict):
                if kind == "rate":
                    step[kind] = asked
                elif kind == "percent":
                    step[kind] = {"rate": asked}
                else:
                    continue
            else:
                key = {"rate": "rate", "percent": "rate", "discount": "percent", "markup": "percent", "tax": "percent", "fee": "percent",
                       "allowance": "quantity", "fixed": "amount", "bound": "max", "commit": "amount"}.get(kind)
                if kind == "tier" and "on_change" not in body and "position" not in body:
                    tier = rng.choice(body["tiers"])
                    if "rate" in tier:
                        tier["rate"] = asked
                elif key is None or key not in body or "rollover" in body or "min" in body or (
                        "amount" in body.get("limit", {}) and key == "percent" and rng.random() < 0.5):
                    continue
                else:
                    body[key] = asked
            world.has("lookup." + kind)


# ---- limits ----

def limits(world, rng):
    """Tiers that end where an expression says: one that ends below the one before is empty."""
    for body in usage_steps(world.catalog, "tier"):
        if "on_change" in body:
            continue
        for tier in body["tiers"]:
            key = "up_to" if "up_to" in tier else "below"
            if key in tier and rng.random() < 0.4:
                tier[key] = rng.choice(["period.days / 3", "period.hours / 100", "period.days"] + (
                    ["turn.days / 2", "turn.hours / 50"] if body.get("clock") not in ("row", "always") else []))
                world.has("tier.limit.expression")


def both_ends(world, rng):
    """An amount at most, and only in the first turns."""
    if not all(record.get("since") for record in world.accounts):
        return
    for kind, body, _ in charge_steps(world.catalog):
        if kind in ("discount", "markup") and "amount" in body.get("limit", {}) and body.get("clock") != "always":
            body["limit"] = dict(body["limit"], turns=Raw(rng.choice(["1", "2", "40"])))
            world.has("charges.limit.both")


def whole_parts(world, rng):
    """Amounts off fixed ones that shrink with them."""
    kind = rng.choice(["discount", "discount", "markup"])
    for step in list(fixed_steps(world.catalog)):
        for steps in step_lists(world.catalog):
            if any(step is other for other in steps) and step["fixed"].get("prorate", "none") != "none" and "scope" not in step["fixed"] and (
                    rng.random() < 0.7):
                body = {"amount": world.money(rng, 1, 20), "prorate": Raw("true"), "name": "part"}
                if "clock" in step["fixed"]:
                    body["clock"] = step["fixed"]["clock"]
                steps.append({kind: body})
                world.has("charges.prorate.true")
                break


# ---- totals ----

def totals(world, rng):
    """Numbers of terms by what is charged so far of something, or was used of a SKU."""
    steps = {kind for owner in [world.catalog, *world.catalog.get("plans", {}).values(), *world.catalog.get("contracts", [])]
             for price in owner.get("prices", []) if isinstance(price, dict) and "components" not in price
             for step in price["steps"] for kind, body in step.items() if not isinstance(body, dict) or "name" not in body}
    names = sorted({"tier", "rate"} & steps | {"p0", "p1"} & set(world.catalog["products"])) + world.skus
    sums = ["charges(\"%s\")" % name for name in names] + ["usage(\"%s\")" % sku for sku in world.skus]
    for kind, body, is_term in charge_steps(world.catalog):
        if not is_term or rng.random() < 0.4:
            continue
        total = rng.choice(sums)
        key = {"discount": "percent", "markup": "percent", "fee": "percent", "bound": "max", "commit": "amount"}.get(kind)
        if kind in ("discount", "markup") and "amount" in body and "limit" not in body:
            key, number = "amount", "max(0, %s / 4)"
        elif kind == "fee" and "min" in body and "max" not in body and rng.random() < 0.5:
            key, number = "min", "max(0, %s / 3)"
        elif kind == "bound" and "min" in body and "max" not in body:
            key, number = "min", "max(1, %s / 2)"
        elif key == "percent":
            number = "max(0, min(40, %s))"
        else:
            number = "max(5, %s + 2)"
        if key in body and isinstance(body[key], Raw) and not (key == "max" and "min" in body):
            body[key] = number % total
            world.has("total.%s.%s" % (kind, total.partition("(")[0]))


def wallet_keys(world, rng):
    """Wallets of each SKU, product or dimension."""
    for steps in step_lists(world.catalog):
        for step in steps:
            ((kind, body),) = step.items()
            if kind == "credit" and "settings_at" not in body and "share" not in body and rng.random() < 0.6 and not any(
                    "cost" in grant for grant in body["grants"]):
                body["by"] = [rng.choice(["sku", "product", "account"] + ["region"] * world.known("region"))]
                body.pop("top_up", None)
                world.has("wallets.by." + body["by"][0])


# ---- tariffs ----

def standing(world, rng):
    """Fixed amounts beside usage, in one price: as a component of some, in all versions or in one."""
    chosen = {}
    for owner in [world.catalog, *world.catalog.get("plans", {}).values(), *world.catalog.get("contracts", [])]:
        for price in owner.get("prices", []):
            if not isinstance(price, dict) or price["sku"] == "*" or price["steps"] and "fixed" in price["steps"][0]:
                continue
            name = id(owner), str(price.get("name", price["sku"]))
            if chosen.setdefault(name, rng.random() < 0.5) and rng.random() < 0.85:
                if "components" not in price:
                    price.update(components={"one": price["steps"]}, steps=[])
                price["components"] = dict(price["components"], standing=[world.fixed_step(rng, rng.random() < 0.5)])
                world.has("components.fixed")


# ---- units ----

def units(world, rng):
    """Meters and conversions say units, and buckets are apart by them."""
    for meter in world.meters.values():
        if rng.random() < 0.5:
            meter["unit"] = rng.choice(["u", "v"])
    for body in usage_steps(world.catalog, "convert"):
        if rng.random() < 0.6:
            body["to"] = rng.choice(["u", "v", "w"])
            world.has("convert.to")
    for body in usage_steps(world.catalog, "aggregate", "allowance", "tier", "bound", "discount", "markup"):
        if rng.random() < 0.3 and "on_change" not in body and "min" not in body:
            body["by"] = [*body.get("by", []), "unit"]
            world.has("by.unit")


def lists(world, rng):
    """Public rates of prices, which plans per cent and savings ask."""
    for owner in [world.catalog, *world.catalog.get("plans", {}).values(), *world.catalog.get("contracts", [])]:
        for price in owner.get("prices", []):
            if isinstance(price, dict) and "components" not in price and "fixed" not in price["steps"][0] and rng.random() < 0.5:
                price["list"] = world.rate(rng)
                world.has("price.list_rate")


# ---- currencies ----

def own_currencies(world, rng):
    """Plans and contracts that say what their prices are in, and contracts that say it of their buyer's bills, as accounts do here."""
    catalog = world.catalog
    if "currencies" not in catalog:
        return
    codes = sorted({row[0] for row in catalog["tables"]["fx"]["rows"]})
    fit = [code for code in codes if DIGITS[code] >= DIGITS[catalog["currency"]]]
    one = rng.choice(fit)
    for plan in catalog.get("plans", {}).values():
        if rng.random() < 0.6 and not shares(plan):
            plan["currency"] = rng.choice(fit)
            world.has("currencies.plan")
    for contract in catalog.get("contracts", []):
        if rng.random() < 0.7 and not shares(contract):
            contract["currency"] = one
            world.has("currencies.contract")
    for record in world.accounts:
        record["currency"] = one


def shares(owner):
    """Whether prices of a plan or contract have steps that others use, whose amounts they would mix."""
    return any("use" in step for price in owner.get("prices", []) if isinstance(price, dict)
               for steps in [price["steps"], *price.get("components", {}).values()] for step in steps)


# ---- series and tables, wherever they may be asked ----

SPOT = 'series("spot", "eu")'

def spots(world, rng):
    """Numbers that a series says; it has points from long before."""
    points = world.catalog["series"]["spot"]["points"]
    points.insert(0, ["2015-01-01T00:00:00Z", "eu", Raw("2")])
    for steps in step_lists(world.catalog):
        for i, step in enumerate(steps):
            ((kind, body),) = step.items()
            key = {"rate": "rate", "percent": "rate", "discount": "percent", "markup": "percent", "tax": "percent", "fee": "percent",
                   "allowance": "quantity", "fixed": "amount", "bound": "max", "commit": "overage", "convert": "multiply"}.get(kind)
            if kind == "formula" and rng.random() < 0.7:
                steps[i] = {"formula": "quantity * " + SPOT}
            elif key and isinstance(body, Raw) and rng.random() < 0.5:
                steps[i] = {kind: {key: SPOT}}
            elif key and isinstance(body, dict) and isinstance(body.get(key), Raw) and "rollover" not in body and "min" not in body and (
                    rng.random() < 0.5):
                body[key] = SPOT
            else:
                continue
            world.has("spot." + kind)


def row_tables(world, rng):
    """Filters by what a table with dates, or a series, says at the time of a row or charge."""
    if "moving" not in world.catalog["tables"]:
        lookups(world, rng)
    world.catalog["series"]["spot"]["points"].insert(0, ["2015-01-01T00:00:00Z", "us", Raw("2")])
    wheres = [MOVING + " > 2", MOVING + " < 1", 'series("spot", "us") > 0.5', "quantity < " + MOVING]
    for body in usage_steps(world.catalog, "convert", "allowance", "aggregate", "discount", "markup", "fee", "bound", "round"):
        if "where" not in body and rng.random() < 0.3:
            body["where"] = rng.choice(wheres)
            world.has("where.table")


def meter_tables(world, rng):
    """Meters whose filter or value a table or series says, at the event's time."""
    if "moving" not in world.catalog["tables"]:
        lookups(world, rng)
    world.catalog["series"]["spot"]["points"].insert(0, ["2015-01-01T00:00:00Z", "ap", Raw("2")])
    for meter in world.meters.values():
        if "where" not in meter and rng.random() < 0.4:
            meter["where"] = rng.choice([MOVING + " > 1", 'series("spot", "ap") > 0.5'])
            world.has("meter.table")
        elif meter.get("value") == "data.q" and meter.get("aggregate") not in ("unique", "time_weighted") and rng.random() < 0.5:
            meter["value"] = rng.choice(["data.q + " + MOVING, 'data.q * series("spot", "ap")'])
            world.has("meter.table")


# ---- what is left of keys and values ----

def options(world, rng):
    """Taxes and roundings by turns and keys, the currency's digits, a least or a most alone, fees on what was before all terms."""
    keys = ["sku", "product", "account"] + ["region"] * world.known("region")
    for body in usage_steps(world.catalog, "tax", "round"):
        if rng.random() < 0.4 and (body.get("at") in ("bucket", "rate", "total")):
            body["by"] = [rng.choice(keys)]
            world.has("options.by")
        if rng.random() < 0.4 and body.get("at") in ("bucket", "rate", "total") and "clock" not in body:
            body["clock"] = rng.choice(["day", "week", "month", "ten_days"])
            world.has("options.clock")
    for body in usage_steps(world.catalog, "round"):
        if rng.random() < 0.4 and "currencies" not in world.catalog:
            body.pop("digits", None)
            world.has("options.digits")
        if rng.random() < 0.3:
            body["mode"] = "half_down"
    for body in usage_steps(world.catalog, "percent"):
        if "min" in body and "max" in body and rng.random() < 0.7:
            del body[rng.choice(["min", "max"])]
            world.has("options.percent")
    for body in usage_steps(world.catalog, "fee"):
        if "measure" not in body and rng.random() < 0.4:
            body["base"] = "gross"
            world.has("options.fee")
    for body in usage_steps(world.catalog, "allocate"):
        if rng.random() < 0.4:
            body["by"] = [rng.choice(keys)]
            world.has("options.allocate")


def groups(world, rng):
    """Of a group are amounts, units and tiers, too."""
    owners = [world.catalog, *world.catalog.get("plans", {}).values(), *world.catalog.get("contracts", [])]
    if "'best'" in str([owner.get("terms") for owner in owners]):
        return
    for owner in owners:
        for term in owner.get("terms", []):
            ((kind, body),) = term.items()
            if kind in ("discount", "markup") and "exclusive" not in body and rng.random() < 0.6:
                body["exclusive"] = "group"
                world.has("options.group")


def long_rollover(world, rng):
    """What is left of an allowance goes on over turns of weeks and months."""
    for body in usage_steps(world.catalog, "allowance"):
        if isinstance(body.get("quantity"), Raw) and "events" not in body and "on_change" not in body and "prorate" not in body and (
                "rollover" not in body and body.get("clock") in ("week", "month", "ten_days", "own_month", None) and rng.random() < 0.5):
            body["rollover"] = rng.choice([Raw("1"), Raw("0.5"), {"amount": Raw("3")}, {"part": Raw("0.25"), "amount": Raw("2")}])
            world.has("options.rollover")


# ---- what documents have besides ----

def pers(world, rng):
    """Rates of so many units that a table, a series, a row or a case says."""
    for body in usage_steps(world.catalog, "rate"):
        if "per" not in body and rng.random() < 0.6:
            body["per"] = Raw(rng.choice(["3", "1000", "7", "0.5"]))
            world.has("rate.per.more")


def more_keys(world, rng):
    """Buckets by resource, and by two keys."""
    for kind in ("aggregate", "allowance", "tier", "bound", "discount", "markup", "fee", "commit", "round", "convert"):
        for body in usage_steps(world.catalog, kind):
            has_buckets = body.get("at") == "bucket" if kind == "round" else "clock" in body if kind == "convert" else True
            if has_buckets and "prepaid" not in body and "rollover" not in body and rng.random() < 0.3 and not (
                    "min" in body and any(body is step.get(kind) for step in world.catalog.get("steps", {}).values())):
                body["by"] = rng.choice([["resource"], ["resource", "sku"], ["account", "product"], ["account", "resource"]] + (
                    [["region", "resource"], ["region", "account"]] if world.known("region") else []))
                world.has("by.more." + kind)


def restarts(world, rng):
    """Steps that begin anew with each version of their price."""
    chosen = {}
    for steps in step_lists(world.catalog):
        if any(steps is owner.get("terms") for owner in [world.catalog, *world.catalog.get("plans", {}).values(),
                                                         *world.catalog.get("contracts", [])]):
            continue
        for step in steps:
            ((kind, body),) = step.items()
            if not isinstance(body, dict) or kind not in ("aggregate", "convert", "discount", "markup", "fee", "commit", "round", "bound"):
                continue
            if (kind == "convert" and body.get("clock", "row") == "row") or (kind == "round" and body.get("at") != "bucket") or (
                    body.get("clock") == "always" or "rollover" in body or "turns" in body.get("limit", {}) or "prorate" in body):
                continue
            if chosen.setdefault((kind, body.get("name")), rng.random() < 0.5):
                body["on_change"] = "restart"
                world.has("restart.more." + kind)


def row_clocks(world, rng):
    """Steps of which each row, or each charge, is a bucket."""
    for kind in ("allowance", "aggregate", "bound", "discount", "markup"):
        for body in usage_steps(world.catalog, kind):
            if {"rollover", "prorate", "limit", "settle", "on_change", "order", "min"} & set(body) or rng.random() < 0.6 or (
                    body.get("attribute") == "none" or any(text in str(body) for text in ("turn.", "charges(", "usage("))):
                continue
            body["clock"] = "row"
            world.has("clock.row." + kind)


def flats(world, rng):
    """Fees of tiers with amounts; parts of turns of amounts off that are rounded."""
    for body in usage_steps(world.catalog, "fee"):
        for tier in body.get("tiers", []):
            if rng.random() < 0.5:
                tier["flat"] = world.money(rng, 1, 5)
                world.has("fee.flat")
    for body in usage_steps(world.catalog, "discount", "markup"):
        if body.get("prorate") in ("day", "second", "day_inclusive", "30_day") and rng.random() < 0.7:
            body["digits"] = Raw(rng.choice(["1", "3", "9"]))
            world.has("discount.digits")


def spread_least(world, rng):
    """Minimums of prices that are spread, or billed as they lack."""
    for body in usage_steps(world.catalog, "bound"):
        if "min" in body and "attribute" not in body and "settle" not in body and rng.random() < 0.5:
            body[rng.choice(["attribute"])] = "pro_rata"
            world.has("bound.pro_rata")
        if "min" in body and "settle" not in body and rng.random() < 0.3:
            body["settle"] = "now"
            world.has("bound.now")


MORE_CLOCKS = {"two_weeks": {"every": "2 weeks"}, "quarter_of_it": {"every": "quarter", "anchor": "contract"},
               "six_hours": {"every": "6 hours"}, "two_months": {"every": "2 months", "zone": "Asia/Kolkata"},
               "own_year": {"every": "year", "anchor": "subscription"}}


def more_clocks(world, rng):
    """Clocks of several units, anchored ones of other lengths, and one in the place of the language's."""
    catalog = world.catalog
    for name, body in MORE_CLOCKS.items():
        catalog["clocks"][name] = dict(body)
    if rng.random() < 0.5:
        catalog["clocks"]["week"] = {"every": "week", "anchor": world.date(world.period[0] - 17 * times.DAY)}
        world.has("clock.replaced")
    for body in usage_steps(catalog, "allowance", "aggregate", "tier", "bound", "discount", "markup", "fee", "commit"):
        if body.get("clock", "period") not in ("row", "always") and "prepaid" not in body and "rollover" not in body and (
                str(body.get("prorate")) != "true" and rng.random() < 0.4):
            body["clock"] = rng.choice(list(MORE_CLOCKS))
            world.has("clock." + body["clock"])


def attribute_prices(world, rng):
    """Variants of prices by what a SKU is, alone or with a dimension."""
    for owner in [world.catalog, *world.catalog.get("plans", {}).values(), *world.catalog.get("contracts", [])]:
        for price in owner.get("prices", []):
            if isinstance(price, dict) and "where" in price and rng.random() < 0.6:
                price["where"] = {"family": rng.choice(["m", "n", ["m", "n"]]), **(price["where"] if rng.random() < 0.5 else {})}
                world.has("price.where.attribute")


def cover_words(world, rng):
    """Passes that take some commitments, turns of months, whose own fees, and when it is asked who shares."""
    catalog = world.catalog
    if not world.commitments:
        return
    covers = [step["cover"] for step in catalog.get("steps", {}).values() if "cover" in step]
    clock = rng.choice([None, None, "month", "period", "ten_days"])
    for body in covers:
        if clock:
            body["clock"] = clock
            world.has("cover.clock." + clock)
        for one in body["passes"]:
            if rng.random() < 0.4:
                one["commitments"] = rng.choice(["commitment.count > 1" if one["offering"] in ("zonal", "flexible") else "commitment.amount > 1",
                                                 'family == "m"', 'has(region)' if world.known("region") else 'has(family)', 'id != "k0"'])
                world.has("cover.commitments")
        if rng.random() < 0.4:
            body["settings_at"] = rng.choice(["turn_start", "invoice"])
            world.has("cover.settings_at")
    for record in world.commitments:
        if rng.random() < 0.4:
            record["recurring"] = world.money(rng, 0, 3)
            world.has("cover.recurring")
        if rng.random() < 0.3:
            record["upfront"] = world.money(rng, 1, 50)
            world.has("cover.upfront")


def periods(world, rng):
    """Bills of days, of two months, of a year."""
    catalog = world.catalog
    if world.billing_kind not in ("none", "zone") or "'billing'" in str(catalog.get("contracts", [])) or any(
            "clock" in meter for meter in world.meters.values()):
        return
    every = rng.choice(["day", "2 months", "year", "2 weeks", "12 hours"])
    catalog["billing"] = dict(catalog.get("billing", {}), every=every)
    world.several = True
    world.has("billing.every." + every.replace(" ", "_"))


def override_covers(world, rng):
    """Own prices whose rows commitments pay for, too."""
    names = [name for name, step in world.catalog.get("steps", {}).items() if "cover" in step]
    by_price = {}
    for row in world.overrides:
        key = row["account"], row["sku"], row.get("from"), row.get("to")
        if key not in by_price:
            by_price[key] = [name for name in names if rng.random() < 0.6]
        if by_price[key]:
            row["cover"] = ";".join(by_price[key])
            world.has("override.cover")


def meter_usage(world, rng):
    """What a meter has counted, in place of what was used of its SKU; seconds of turns."""
    def other(value):
        if isinstance(value, dict):
            return {key: other(item) for key, item in value.items()}
        if isinstance(value, list):
            return [other(item) for item in value]
        if isinstance(value, str) and not isinstance(value, Raw):
            for sku in world.skus:
                if "m_" + sku in world.meters and 'usage("%s")' % sku in value and rng.random() < 0.8:
                    value = value.replace('usage("%s")' % sku, 'usage("m_%s")' % sku)
                    world.has("usage.meter")
            if "period.hours / 100" in value or "turn.hours / 50" in value:
                value = value.replace("period.hours / 100", "period.seconds / 360000").replace("turn.hours / 50", "turn.seconds / 180000")
                world.has("seconds")
        return value
    for body in usage_steps(world.catalog, "allowance", "tier", "fee", "bound", "commit", "discount", "markup"):
        for key, value in list(body.items()):
            body[key] = other(value)


def more_scopes(world, rng):
    """Wallets of resources; fixed amounts of none, or of as many as a period has days beyond some, and those of a contract's scope."""
    for steps in step_lists(world.catalog):
        for step in steps:
            ((kind, body),) = step.items()
            if kind == "credit" and not {"share", "settings_at", "top_up"} & set(body) and rng.random() < 0.5 and not any(
                    {"cost", "account"} & set(grant) for grant in body["grants"]):
                body["scope"] = "resource"
                world.has("wallets.resource")
    for step in fixed_steps(world.catalog):
        if rng.random() < 0.3:
            step["fixed"]["quantity"] = rng.choice([Raw("0"), "max(0, period.days - 30)"])
            world.has("fixed.none")
    for contract in world.catalog.get("contracts", []):
        for price in contract.get("prices", []):
            for steps in [price["steps"], *price.get("components", {}).values()] if isinstance(price, dict) else ():
                if steps and "fixed" in steps[0] and "scope" not in steps[0]["fixed"] and "'part'" not in str(price) and rng.random() < 0.4:
                    steps[0]["fixed"]["scope"] = "contract"
                    world.has("fixed.contract")
