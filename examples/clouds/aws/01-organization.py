"""What 01-organization.yaml must come to, worked out by itself."""
from decimal import Decimal as D
from math import ceil

GIB, HOURS = 2 ** 30, 744
TIERS = [(51200, D("0.023")), (512000, D("0.022")), (None, D("0.021"))]


def graduated(position, quantity):
    """(rate, quantity) of each tier that the quantity behind the position lies in."""
    parts = []
    for end, rate in TIERS:
        taken = quantity if end is None else max(min(quantity, end - position), 0)
        if taken:
            parts.append((rate, taken))
        position, quantity = position + taken, quantity - taken
    return parts


usage = {"m1": D(32212254720000) * 744 / GIB / HOURS, "m2": D(37580963840000) * 744 / GIB / HOURS}
alone, joined = D(33285996544000) * 360 / GIB / HOURS, D(33285996544000) * 384 / GIB / HOURS
bills = [("m1", usage["m1"], graduated(D(0), usage["m1"])), ("m2", usage["m2"], graduated(usage["m1"], usage["m2"])),
         ("m3", alone, graduated(D(0), alone)), ("m3", joined, graduated(usage["m1"] + usage["m2"], joined))]
storage = {}
for account, quantity, parts in bills:
    storage[account] = storage.get(account, 0) + sum(rate * part for rate, part in parts)
    if account != "m1":
        for rate, part in parts:
            print("line", f"account={account}", "sku=s3.standard", f"rate={rate}", "quantity", part)
            print("line", f"account={account}", "sku=s3.standard", f"rate={rate}", "amount", rate * part)
print("quantity m1.s3.standard.usage", usage["m1"])
print("quantity m2.s3.standard.usage", usage["m2"])
print("quantity m3.s3.standard.usage", alone + joined)

seconds = {"m1": D(1000) / 1000 * 512 / 1024 * 600000, "m2": D(ceil(999.2)) / 1000 * 1024 / 1024 * 900000}
paid = sum(seconds.values()) - 400000                       # all of it m2's: m1 has 300,000
calls = 600000 + 900000 - 1000000
functions, requests = paid * D("0.00001667"), calls * D("0.0000002")
for sku, rate, quantity, amount in (("lambda.gb_second", "0", 400000 - seconds["m1"], 0),
                                    ("lambda.gb_second", "0.00001667", paid, functions), ("lambda.requests", "0.2", calls, requests)):
    print("line", "account=m2", f"sku={sku}", f"rate={rate}", "quantity", quantity)
    print("line", "account=m2", f"sku={sku}", f"rate={rate}", "amount", amount)
print("by_sku s3.standard", sum(storage.values()))
print("by_sku lambda.gb_second", functions)
print("by_sku lambda.requests", requests)
print("by_account m1", storage["m1"])
print("by_account m2", storage["m2"] + functions + requests)
print("by_account m3", storage["m3"])
print("total", sum(storage.values()) + functions + requests)
