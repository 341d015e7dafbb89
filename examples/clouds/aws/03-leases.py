"""What 03-leases.yaml must come to, worked out by itself."""
from decimal import Decimal as D

MACHINE, SMALL = D("0.10"), D("0.17")
first = (D(438) / 8760 + D("0.02"), 744)                      # an hour of r-1, and its hours in October
second = (D("0.06"), 16 * 24)

used_by_first = D(4 * 900) / 3600 + 1 + 1                      # hours on the 5th, twice, and on the 20th
used_by_second = D(1)
minute = round(D(max(60, 36)) / 3600, 6)

upfront, recurring, later = D(438), D("0.02") * 744, second[0] * second[1]
print("quantity m5.large.covered", used_by_first + used_by_second)
print("quantity m5.large.usage 1")
print("quantity c5.xlarge.usage", minute)
print("quantity commitment", 1 + 744 + second[1])
for lease, rate, quantity, amount in (("r-1", "upfront", 1, upfront), ("r-1", "recurring", 744, recurring), ("r-2", "recurring", second[1], later)):
    print("line kind=commitment", f"grant={lease}", f"rate={rate}", "quantity", quantity)
    print("line kind=commitment", f"grant={lease}", f"rate={rate}", "amount", amount)
print("line sku=c5.xlarge rate=0.17 amount", minute * SMALL)
print("line kind=unused grant=r-1 effective", first[0] * (first[1] - used_by_first))
print("line kind=unused grant=r-2 effective", second[0] * (second[1] - used_by_second))
print("unused r-1", 4 * (first[1] - used_by_first))            # in units: four for each of the machine's hours
print("unused r-2", 4 * (second[1] - used_by_second))
print("effective r-1", first[0] * used_by_first)
print("effective r-2", second[0] * used_by_second)
usage = MACHINE + minute * SMALL
print("effective all", first[0] * first[1] + second[0] * second[1] + usage)
print("by_kind commitment", upfront + recurring + later)
print("by_kind usage", usage)
print("total", upfront + recurring + later + usage)
