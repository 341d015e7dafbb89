"""What 15-matrix.yaml must come to, worked out by itself."""
from collections import Counter
from decimal import Decimal as D

matrix = {("eu", "large"): "0.44", ("us", "large"): "0.40", ("eu", "small"): "0.11", ("us", "small"): "0.10"}
usage = {("eu", "large"): 744, ("us", "small"): 1488, ("us", "large"): 10, ("asia", "small"): 20}

by_region, by_size = Counter(), Counter()
for (region, size), hours in usage.items():
    amount = hours * D(matrix.get((region, size), "0.50"))
    by_region[region] += amount
    by_size[size] += amount

for region, amount in by_region.items():
    print("by_dim region", region, amount)
for size, amount in by_size.items():
    print("by_dim size", size, amount)
print("total", sum(by_region.values()))
