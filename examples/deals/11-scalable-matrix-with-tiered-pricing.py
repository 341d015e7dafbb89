"""What 11-scalable-matrix-with-tiered-pricing.yaml must come to, worked out by itself."""
from decimal import Decimal as D

used, by_os, by_tier = 0, {}, {0: D(0), 1: D(0)}
for os, minutes in [("linux", 900 * 1), ("macos", 150 * 10), ("windows", 300 * 2)]:     # in order of time
    cheap = max(used + minutes - 2000, 0) - max(used - 2000, 0)
    parts = [(minutes - cheap) * D("0.008"), cheap * D("0.006")]
    by_os[os] = sum(parts)
    by_tier[0] += parts[0]
    by_tier[1] += parts[1]
    used += minutes

for os, amount in by_os.items():
    print("by_dim os", os, amount)
for tier, amount in by_tier.items():
    print("by_tier", tier, amount)
print("total", sum(by_os.values()))
