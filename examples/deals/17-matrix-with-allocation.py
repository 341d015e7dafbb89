"""What 17-matrix-with-allocation.yaml must come to, worked out by itself."""
from decimal import Decimal as D

rates = {"eu": D("0.08"), "us": D("0.09"), "asia": D("0.12")}
free, costs = 500, dict.fromkeys(rates, D(0))
for region, gb in [("eu", 400), ("us", 300), ("asia", 50), ("eu", 100)]:      # in order of time
    taken = min(free, gb)
    free -= taken
    costs[region] += (gb - taken) * rates[region]

for region, amount in costs.items():
    print("by_dim region", region, amount)
print("total", sum(costs.values()))
