"""What 32-percent.yaml must come to, worked out by itself."""
from decimal import Decimal as D

payments = {"p1": D(10), "p2": D(129), "p3": D(950)}
fees = {name: min(amount * D("2.9") / 100 + D("0.30"), D(12)) for name, amount in payments.items()}

for name, fee in fees.items():
    print("by_resource", name, fee)
print("total", sum(fees.values()))
