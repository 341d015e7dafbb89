"""What 03-enterprise-agreement.yaml must come to, worked out by itself."""
from decimal import Decimal as D

prepaid, spent = D(1000), D(0)
for month, hours in (("2026-01", 2000), ("2026-02", 4000)):
    gross = hours * D("0.20")
    net = gross * 96 / 100
    used = min(prepaid, net)
    prepaid -= used
    spent += net
    fee = D(1000) if month == "2026-01" else D(0)
    print(month, "by_account ea", fee + net - used)
    print(month, "by_account macc", net)
    print(month, "by_kind credit", -used)
    if fee:
        print(month, "by_kind fee", fee)
    else:
        print(month, "by_kind usage", 2 * gross)
        print(month, "by_kind discount", -2 * (gross - net))
spot = D("0.25") * D("0.04") + D("0.75") * D("0.06")
print("2026-03-01..2026-12-01 by_kind usage", spot)
print("2026-03-01..2026-12-01 total", spot * 96 / 100)
print("2026-12 by_account ea 0")
print("2026-12 by_account macc", 1200 - spent)
print("2026-12 by_kind shortfall", 1200 - spent)
print("2026-12 total", 1200 - spent)
