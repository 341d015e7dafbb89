"""What 02-committed-use.yaml must come to, worked out by itself."""
from decimal import Decimal as D

LIST = {"n1.core": D("0.0475"), "n1.ram": D("0.0064"), "e2.core": D("0.02"), "e2.ram": D("0.003"), "sql.core": D("0.05")}
SHARING = {"a", "b", "f"}
# account, SKU, region, quantity of the three hours from 7 to 10
rows = [[("a", "n1.core", "eu", 6), ("a", "n1.ram", "eu", 24)],
        [("a", "n1.core", "eu", 6), ("a", "n1.ram", "eu", 24), ("a", "n1.core", "us", 1), ("b", "n1.core", "eu", 4), ("b", "sql.core", "eu", 3),
         ("f", "e2.core", "eu", 4), ("f", "e2.ram", "eu", 10), ("g", "e2.core", "eu", 10)],
        [("g", "e2.core", "eu", 12)]]
resources = {"cores": ("a", "n1.core", 8, D("0.03")), "memory": ("a", "n1.ram", 16, D("0.004")), "sql": ("b", "sql.core", 2, D("0.0375"))}
money = {"money": ("f", D("0.167364")), "listed": ("g", D("0.225") * 72 / 100)}

covered, usage, unused, used, cost, fees = {}, {}, {}, {}, {}, D(0)


def take(row, quantity):
    row[3] -= quantity
    covered[row[0], row[1]] = covered.get((row[0], row[1]), 0) + quantity


for hour, found in enumerate(rows):
    hour_rows = [[account, sku, region, D(quantity)] for account, sku, region, quantity in found]
    if hour > 0:
        for name, (owner, sku, count, fee) in resources.items():
            left = D(count)
            for row in sorted((r for r in hour_rows if r[1:3] == [sku, "eu"] and r[0] in SHARING), key=lambda r: r[0] != owner):
                part = min(left, row[3])
                left -= part
                take(row, part)
            unused[name] = unused.get(name, 0) + left
            used[name] = used.get(name, 0) + (count - left) * fee
            cost[owner] = cost.get(owner, 0) + count * fee
            fees += count * fee
        for name, (owner, amount) in money.items():
            left = amount
            reached = [r for r in hour_rows if r[1] != "sql.core" and (r[0] in SHARING) == (owner in SHARING)]
            for row in sorted(reached, key=lambda r: (r[0] != owner, LIST[r[1]], r[0])):
                rate = LIST[row[1]] * 72 / 100
                part = min(row[3], left / rate)
                left -= part * rate
                take(row, part)
            unused[name] = unused.get(name, 0) + left
            used[name] = used.get(name, 0) + amount - left
            cost[owner] = cost.get(owner, 0) + amount
            fees += amount
    for account, sku, _, quantity in hour_rows:
        usage[account, sku] = usage.get((account, sku), 0) + quantity
        cost[account] = cost.get(account, 0) + quantity * LIST[sku]

for account, sku in (("a", "n1.core"), ("a", "n1.ram"), ("b", "n1.core"), ("b", "sql.core"), ("g", "e2.core")):
    print(f"quantity {account}.{sku}.covered", covered[account, sku])
    print(f"quantity {account}.{sku}.usage", usage[account, sku])
print("quantity f.covered", covered["f", "e2.core"] + covered["f", "e2.ram"])
for name in (*resources, *money):
    print("unused", name, unused[name])
    print("effective", name, used[name])
demand = sum(quantity * LIST[sku] for (_, sku), quantity in usage.items())
print("by_kind usage", demand)
print("by_kind commitment", fees)
for account in "abfg":
    print("by_account", account, cost[account])
print("total", demand + fees)
