"""What 37-telecom-increments.yaml must come to, worked out by itself."""
from decimal import Decimal as D
from fractions import Fraction
from math import ceil

calls = {"c1": (32, D("0.02")), "c2": (4, D("0.09")), "c3": (601, D("0.35")), "c4": (30, D("0.02"))}

costs = {}
for name, (seconds, rate) in calls.items():
    billed = 30 if seconds <= 30 else 30 + ceil(Fraction(seconds - 30, 6)) * 6
    costs[name] = D("0.05") + billed * rate / 60

for name, amount in costs.items():
    print("by_resource", name, amount)
print("excluded NO_METER 1")
print("total", sum(costs.values()))
