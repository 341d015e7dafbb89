"""What 35-event-output.yaml must come to, worked out by itself."""
from decimal import Decimal as D

shipments = {"s-1001": D("12.5") * D("1.84"), "s-1002": D(340) * D("0.95")}

for name, amount in shipments.items():
    print("by_resource", name, amount)
print("total", sum(shipments.values()))
