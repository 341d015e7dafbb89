"""What 19-grouped-with-prorated-minimum.yaml must come to, worked out by itself."""
from decimal import Decimal as D

calls = {"atlas": 500 + 1200, "borealis": 4000, "cirrus": 1}
least = D(31) * (31 - 15) / 31
charged = {project: count * D("0.01") for project, count in calls.items()}
costs = {project: max(amount, least) for project, amount in charged.items()}

for project, amount in costs.items():
    print("by_dim project", project, amount)
print("by_kind usage", sum(charged.values()))
print("by_kind minimum", sum(costs.values()) - sum(charged.values()))
print("total", sum(costs.values()))
