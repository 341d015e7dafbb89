"""What 13-package-with-allocation.yaml must come to, worked out by itself."""
from fractions import Fraction
from math import ceil

lookups = {"globex": 2700, "initech": 999}
costs = {account: ceil(Fraction(max(count - 1000, 0), 500)) * 4 for account, count in lookups.items()}

for account, amount in costs.items():
    print("by_account", account, amount)
print("total", sum(costs.values()))
