"""What 41-enterprise-commit.yaml must come to, worked out by itself."""
from decimal import Decimal as D

quarters = [
    [("2026-11", 100000, 10), ("2026-12", 80000, 0), ("2027-01", 120000, 0)],       # machine hours, hours of support
    [("2027-02", 150000, 0), ("2027-03", 150000, 4), ("2027-04", 50000, 0)],
]

charges = D(0)
for first, quarter in zip((True, False), quarters):
    spent = D(0)
    for month, machines, support in quarter:
        compute = machines * D("0.10")
        off = compute * 12 / 100
        spent += compute - off + support * 130
        lacks = max(30000 - spent, 0) if month == quarter[-1][0] else D(0)
        charges += compute - off + support * 130 + lacks
        print(month, "total", compute - off + support * 130 + lacks)
        if first:
            print(month, "by_kind usage", compute + support * 130)
            print(month, "by_kind discount", -off)
        if lacks:
            print(month, "by_kind shortfall", lacks)
print("2027-04 charges", charges)
