"""What 36-ai-tokens.yaml must come to, worked out by itself."""
from collections import Counter
from decimal import Decimal as D

short = {"read": D(3), "written": D("3.75"), "cached": D("0.30"), "answered": D(15)}
long = {"read": D(6), "written": D("7.50"), "cached": D("0.60"), "answered": D("22.50")}
requests = [
    {"read": 1200, "written": 40000, "cached": 0, "answered": 800},
    {"read": 350, "written": 0, "cached": 40000, "answered": 1500},
    {"read": 9000, "written": 150000, "cached": 41000, "answered": 2000},      # 200,000 in all
    {"read": 9001, "written": 0, "cached": 191000, "answered": 600},           # 200,001
]

costs = Counter()
for request in requests:
    rates = long if request["read"] + request["written"] + request["cached"] > 200000 else short
    for kind, tokens in request.items():
        costs[kind] += tokens * rates[kind] / 1000000

for kind, amount in costs.items():
    print("by_sku", kind, amount)
print("total", sum(costs.values()))
