"""What 10-scalable-matrix-with-unit-pricing.yaml must come to, worked out by itself."""
from decimal import Decimal as D

hours = {"small": D(100), "medium": D(40), "large": D("12.5")}
factors = {"small": D(1), "medium": D("3.5"), "large": D(6)}
costs = {gpu: hours[gpu] * factors[gpu] * D("0.90") for gpu in hours}

for gpu, amount in costs.items():
    print("by_dim gpu", gpu, amount)
print("total", sum(costs.values()))
