"""What 12-databases.yaml must come to, worked out by itself."""
from decimal import Decimal as D

FACTOR, TIMES = {"db.t3.small": 1, "db.t3.medium": 2, "db.r5.large": 4}, {"single": 1, "multi": 2, "cluster": 3}
RATE = {"db.t3.small": D("0.034"), "db.t3.medium": D("0.068"), "db.r5.large": D("0.25")}
running = [("a", "db.t3.small", "single", D(1)), ("a", "db.t3.medium", "multi", D(1)), ("b", "db.t3.small", "single", D(1)),
           ("b", "db.r5.large", "single", D(1)), ("b", "db.r5.large", "cluster", D("0.5"))]
leases = {"t3": (2 * 2, 2 * D("0.04")), "r5": (3 * 4, 3 * D("0.15"))}

left = {lease: D(units) for lease, (units, _) in leases.items()}
covered, usage, cost = {}, {}, {}
for account, size, deployment, hours in running:              # the owner's stand first here, and small before large
    lease, weight = size.split(".")[1], FACTOR[size] * TIMES[deployment]
    part = min(hours, left[lease] / weight)
    left[lease] -= part * weight
    covered[account, size] = covered.get((account, size), 0) + part
    usage[account, size] = usage.get((account, size), 0) + hours - part
    cost[size] = cost.get(size, 0) + (hours - part) * RATE[size] * TIMES[deployment]
for account, size in (("a", "db.t3.small"), ("a", "db.t3.medium"), ("b", "db.r5.large")):
    print(f"quantity {account}.{size}.covered", covered[account, size])
for account, size in (("a", "db.t3.medium"), ("b", "db.t3.small"), ("b", "db.r5.large")):
    print(f"quantity {account}.{size}.usage", usage[account, size])
for lease, (units, fee) in leases.items():
    print("unused", lease, left[lease])
    print("effective", lease, fee * (units - left[lease]) / units)
for size, amount in cost.items():
    print("by_sku", size, amount)
print("total", sum(cost.values()) + sum(fee for _, fee in leases.values()))
