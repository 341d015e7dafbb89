"""Worlds in which accounts are billed in other currencies than prices are in, by rates with dates."""
import times
from world import Raw

DIGITS = {"JPY": 0, "USD": 2, "EUR": 2, "KWD": 3, "CLF": 4}
MONEY = ("amount", "min", "max", "limit", "tiers", "grants", "top_up")


def add(world):
    """Rates are whole numbers: what is converted has the digits that it had, whoever it is shared among."""
    rng, catalog = world.rng("currency"), world.catalog
    if rng.random() < 0.6 or any(says_money(term) for term in all_terms(catalog)):
        return
    own = catalog["currency"]
    others = rng.sample([code for code in DIGITS if code != own], 2)
    chosen = False
    for record in world.accounts:
        if rng.random() < 0.5:
            record["currency"] = rng.choice(others + [own])
            chosen = True
    if rng.random() < 0.5:
        chosen |= price_in(rng, catalog, [code for code in others if DIGITS[code] >= DIGITS[own]], world)
    if not chosen:
        return
    at = rng.choice(["row", "turn_start", "turn_end", "invoice", None])
    start, end = world.period
    inside = [start + rng.randrange(1, 28) * times.DAY for _ in range(2)]
    dates = sorted({start // times.DAY * times.DAY - 400 * times.DAY, *(inside if at != "row" else ())})
    rows = [[a, b, Raw(str(rng.randrange(1, 200))), times.form(date)] for a in [own, *others] for b in [own, *others] if a != b
            for date in dates]
    catalog.setdefault("tables", {})["fx"] = {"keys": ["currency", "into"], "dated": True, "rows": rows}
    catalog["currencies"] = {"rates": "fx", **({"settings_at": at} if at else {})}
    world.has("currencies." + (at or "turn_end"))
    rng = world.rng("currency digits")
    if rng.random() < 0.4 and not any(word in str(catalog) for word in ("inclusive", "negation")) and not any(all_terms(catalog)):
        catalog["currencies"]["digits"] = Raw(rng.choice(["0", "2", "3", "6"]))
        if rng.random() < 0.5:
            catalog["currencies"]["mode"] = rng.choice(["half_even", "up", "down", "ceiling", "floor", "half_up"])
        for row in rows:
            row[2] = Raw("%d.%03d" % (rng.randrange(0, 3), rng.randrange(1, 1000)))
        world.has("currencies.digits")


def all_terms(catalog):
    for owner in (catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])):
        yield from owner.get("terms", [])


def says_money(term):
    ((kind, body),) = term.items()
    return kind in ("bound", "commit", "credit") or (isinstance(body, dict) and any(key in body for key in MONEY))


def price_in(rng, catalog, codes, world):
    """Some prices that share nothing, all versions of them."""
    names = {}
    for price in catalog.get("prices", []):
        names.setdefault(str(price.get("name", price["sku"])), []).append(price)
    found = False
    for name in sorted(names):
        if codes and rng.random() < 0.4 and not any("use" in step for price in names[name] for step in price["steps"]):
            code = rng.choice(codes)
            for price in names[name]:
                price["currency"] = code
            found = True
    if found:
        world.has("currencies.price")
    return found
