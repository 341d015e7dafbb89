"""What 34-daily-credit-allowance.yaml must come to, worked out by itself."""
from decimal import Decimal as D

credits = {"text": 1, "image": 5, "video": 40}
days = [[("text", 12), ("video", 2)], [("image", 8)], [("video", 1), ("image", 6)]]

costs = dict.fromkeys(credits, D(0))
for day in days:
    free = 50
    for medium, count in day:
        used = count * credits[medium]
        taken = min(free, used)
        free -= taken
        costs[medium] += (used - taken) * D("0.02")

for medium, amount in costs.items():
    print("by_dim medium", medium, amount)
print("total", sum(costs.values()))
