"""What 28-cumulative-grouped-allocation.yaml must come to, worked out by itself."""
from decimal import Decimal as D

own, shared = {"web": 100, "docs": 100, "app": 100}, 150
costs = dict.fromkeys(own, D(0))
for team, minutes in [("web", 180), ("docs", 60), ("app", 250), ("web", 25)]:     # in order of time
    taken = min(own[team], minutes)
    own[team] -= taken
    minutes -= taken
    taken = min(shared, minutes)
    shared -= taken
    costs[team] += (minutes - taken) * D("0.04")

for team, amount in costs.items():
    print("by_dim team", team, amount)
print("total", sum(costs.values()))
