"""What 08-tiered-package-with-minimum.yaml must come to, worked out by itself."""
from fractions import Fraction
from math import ceil


def cost(messages):
    packages = ceil(Fraction(messages, 1000))
    first, rest = min(packages, 10), max(packages - 10, 0)
    return max(first * 5, 20) + (max(rest * 3, 9) if rest else 0)


usage = {"a": 2500, "b": 6200, "c": 12500, "d": 15000}
for account, messages in usage.items():
    print("by_account", account, cost(messages))
print("total", sum(map(cost, usage.values())))
