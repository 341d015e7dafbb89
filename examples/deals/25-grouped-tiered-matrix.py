"""What 25-grouped-tiered-matrix.yaml must come to, worked out by itself."""
from collections import Counter
from decimal import Decimal as D

tiers = {"read": (1000, D("0.004"), D("0.003")), "write": (100, D("0.05"), D("0.04"))}
usage = {("images", "read"): 1600, ("images", "write"): 140, ("videos", "read"): 800, ("videos", "write"): 90}

by_bucket, by_op = Counter(), Counter()
for (bucket, op), thousands in usage.items():
    up_to, first, rest = tiers[op]
    amount = min(thousands, up_to) * first + max(thousands - up_to, 0) * rest
    by_bucket[bucket] += amount
    by_op[op] += amount

for bucket, amount in by_bucket.items():
    print("by_dim bucket", bucket, amount)
for op, amount in by_op.items():
    print("by_dim op", op, amount)
print("total", sum(by_bucket.values()))
