"""What 22-grouped-tiered.yaml must come to, worked out by itself."""
from decimal import Decimal as D

traffic = {"eu": 150, "us": 90}
costs = {region: min(gb, 100) * D("0.12") + max(gb - 100, 0) * D("0.09") for region, gb in traffic.items()}

for region, amount in costs.items():
    print("by_dim region", region, amount)
print("total", sum(costs.values()))
