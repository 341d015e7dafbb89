"""What 26-grouped-allocation.yaml must come to, worked out by itself."""
from decimal import Decimal as D

traffic = {"blog": 120, "shop": 740, "docs": 501}
costs = {site: max(gb - 500, 0) * D("0.05") for site, gb in traffic.items()}

for site, amount in costs.items():
    print("by_dim site", site, amount)
print("total", sum(costs.values()))
