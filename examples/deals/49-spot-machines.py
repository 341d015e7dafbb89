"""What 49-spot-machines.yaml must come to, worked out by itself."""
from decimal import Decimal as D

minutes = [(30, D("0.12")), (45, D("0.2")), (45, D("0.1"))]
a, b = sum(count * rate / 60 for count, rate in minutes), 2 * D("0.09")

for count, rate in minutes:
    print("line", f"zone=a rate={rate}", "quantity", D(count) / 60)
    print("line", f"zone=a rate={rate}", "amount", count * rate / 60)
print("by_dim zone a", a)
print("by_dim zone b", b)
print("total", a + b)
