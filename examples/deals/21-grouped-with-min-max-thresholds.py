"""What 21-grouped-with-min-max-thresholds.yaml must come to, worked out by itself."""
from decimal import Decimal as D

charged = {"books": 80 * D("0.05"), "games": 1500 * D("0.05"), "shoes": 9000 * D("0.05")}
costs = {shop: min(max(amount, D(10)), D(200)) for shop, amount in charged.items()}

for shop, amount in costs.items():
    print("by_dim shop", shop, amount)
print("by_kind usage", sum(charged.values()))
print("by_kind minimum", sum(max(costs[shop] - charged[shop], 0) for shop in costs))
print("by_kind cap", sum(min(costs[shop] - charged[shop], 0) for shop in costs))
print("total", sum(costs.values()))
