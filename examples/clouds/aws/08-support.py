"""What 08-support.yaml must come to, worked out by itself."""
from decimal import Decimal as D

BUSINESS = [(10000, 10), (80000, 7), (250000, 5), (None, 3)]
ENTERPRISE = [(150000, 10), (500000, 7), (1000000, 5), (None, 3)]


def bands(spend, table):
    below = 0
    for end, percent in table:
        part = max((spend if end is None else min(spend, end)) - below, 0)
        below = end
        if part:
            yield D(part) * percent / 100


def spent(seconds, factor=1):
    return D(seconds) / 3600 * D("0.50") * factor


biz = list(bands(spent(612000000), BUSINESS))
big = list(bands(spent(720000000) + spent(288000000, 2), ENTERPRISE))
dev = max(D(29), spent(14400000) * 3 / 100)
small = max(D(100), sum(bands(spent(3600000), BUSINESS)))
late = D(100) * (15 * 86400 + 43200) / (31 * 86400)
assert sum(biz) > 100 and sum(big) > 15000
print("by_sku support.developer", dev)
print("by_sku support.business", sum(biz) + small + late)
print("by_sku support.enterprise", sum(big))
print("line account=dev kind=fee amount", dev)
for account, parts in (("biz", biz), ("big", big)):
    for tier, amount in enumerate(parts):
        print("line", f"account={account}", "kind=fee", f"tier={tier}", "amount", amount)
print("line account=small kind=fee amount", small)
print("line account=late kind=fee amount", late)
