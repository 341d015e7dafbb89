"""What 23-grouped-tiered-package.yaml must come to, worked out by itself."""
from fractions import Fraction
from math import ceil

exports = {"atlas": 1100 + 700, "borealis": 4800 + 400}
costs = {}
for project, count in exports.items():
    packages = ceil(Fraction(count, 1000))
    costs[project] = min(packages, 4) * 8 + max(packages - 4, 0) * 6

for project, amount in costs.items():
    print("by_dim project", project, amount)
print("total", sum(costs.values()))
