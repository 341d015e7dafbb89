"""What 01-sustained-use.yaml must come to, worked out by itself: level by level of cores that run at once."""
from decimal import Decimal as D

QUARTER, PARTS = 180, (D("1"), D("0.8"), D("0.6"), D("0.4"))
# account, region, part, how much of it, from which hour of the month to which
runs = [("quarter", "eu", "core", 1, 0, 180), ("half", "eu", "core", 1, 0, 360), ("most", "eu", "core", 1, 0, 540), ("all", "eu", "core", 1, 0, 720), ("all", "eu", "ram", 4, 0, 720),
        ("stack", "eu", "core", 4, 0, 360), ("stack", "eu", "core", 4, 360, 720), ("both", "eu", "core", 1, 0, 360), ("both", "eu", "core", 1, 0, 360), ("both", "us", "core", 1, 0, 180)]
RATE = {"core": D("0.0475"), "ram": D("0.0064")}

levels = {}                                                  # (account, region, part): hours of each level
for account, region, part, count, begin, end in runs:
    at_once = levels.setdefault((account, region, part), [0] * 720)
    for hour in range(begin, end):
        at_once[hour] += count
cost = {}
for (account, region, part), at_once in levels.items():
    for level in range(1, max(at_once) + 1):
        hours = sum(running >= level for running in at_once)
        for quarter, share in enumerate(PARTS):
            here = min(max(hours - quarter * QUARTER, 0), QUARTER)
            amount = here * RATE[part] * share
            cost[account] = cost.get(account, 0) + amount
            cost[region] = cost.get(region, 0) + amount
            if account == "all" and part == "core":
                line = f"line account=all sku=n1.core tier={quarter} rate={(RATE[part] * share).normalize()}"
                print(line, "quantity", here)
                print(line, "amount", amount)
for account in ("quarter", "half", "most", "all", "stack", "both"):
    print("by_account", account, cost[account])
print("by_account e2", 720 * (2 * D("0.02") + 8 * D("0.003")))
print("by_dim region us", cost["us"])
