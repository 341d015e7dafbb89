"""What 20-grouped-with-metered-minimum.yaml must come to, worked out by itself."""
from decimal import Decimal as D

charged = {"north": 1500 * D("0.04") + 300 * D("0.07"), "south": 1400 * D("0.07")}
nodes = {"north": 3, "south": 2}
costs = {cluster: max(charged[cluster], D(40) * nodes[cluster]) for cluster in nodes}

for cluster, amount in costs.items():
    print("by_resource", cluster, amount)
print("by_kind usage", sum(charged.values()))
print("by_kind minimum", sum(costs.values()) - sum(charged.values()))
print("total", sum(costs.values()))
