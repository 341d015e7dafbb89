"""The price book's bills once more, in Python's integers: a calculation that shares nothing with Farthing or the peers.

Quantities are whole billionths, rates whole ten-billionths, so amounts have 19 digits after the point and nothing is
rounded.  It takes a gigabyte and half a minute for a million events, which is what it is for.
"""
import csv
import decimal

RATE_DIGITS, QUANTITY_DIGITS = 10, 9
EXACT = decimal.Context(prec=80, traps=[decimal.Inexact, decimal.InvalidOperation])


def whole(text, digits):
    """A decimal as a whole number of its last digit's unit."""
    before, _, after = text.partition(".")
    if len(after) > digits:
        raise ValueError(f"{text} has more than {digits} digits after the point")
    return int(before + after.ljust(digits, "0"))


def read_tiers(path, keys):
    """{key: [(lower, upper, rate)]}, ascending."""
    tiers = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            bounds = (whole(row[name], QUANTITY_DIGITS) for name in ("lower", "upper"))
            tiers.setdefault(tuple(row[key] for key in keys), []).append((*bounds, whole(row["price"], RATE_DIGITS)))
    return {key: sorted(of) for key, of in tiers.items()}


def price(tiers, before, quantity):
    """What the quantity costs that begins at `before`."""
    after, amount = before + quantity, 0
    for lower, upper, rate in tiers:
        part = min(after, upper) - max(before, lower)
        amount += part * rate if part > 0 else 0
    return amount


def read_usage(path):
    """{(account, sku): quantity} of events, each counted once; and how many were there again."""
    seen, usage, duplicates = set(), {}, 0
    with open(path, newline="") as file:
        rows = csv.reader(file)
        columns = next(rows)
        place = [columns.index(name) for name in ("source", "id", "subject", "sku", "quantity")]
        for row in rows:
            source, event, account, sku, quantity = (row[i] for i in place)
            if (source, event) in seen:
                duplicates += 1
                continue
            seen.add((source, event))
            usage[account, sku] = usage.get((account, sku), 0) + whole(quantity, QUANTITY_DIGITS)
    return usage, duplicates


def totals(book, events):
    """The amount of each account, in the price book's currency, and the number of duplicates."""
    prices = read_tiers(book / "prices.csv", ["sku"])
    overrides = read_tiers(book / "overrides.csv", ["account", "sku"])
    with open(book / "accounts.csv", newline="") as file:
        organizations = {row["account"]: row["org"] for row in csv.DictReader(file)}
    usage, duplicates = read_usage(events)
    pools, amounts = {}, {}
    for account, sku in sorted(usage):  # members use the pooled tiers up in the order of accounts
        quantity, own = usage[account, sku], overrides.get((account, sku))
        pool = (organizations[account], sku) if organizations[account] and not own else None
        before = pools.get(pool, 0)
        if pool:
            pools[pool] = before + quantity
        if quantity > 0:
            amounts[account] = amounts.get(account, 0) + price(own or prices[sku,], before, quantity)
    digits = -(RATE_DIGITS + QUANTITY_DIGITS)
    return {account: decimal.Decimal(amount).scaleb(digits, EXACT) for account, amount in amounts.items()}, duplicates
