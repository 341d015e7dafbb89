"""What 44-prepaid-credits.yaml must come to, worked out by itself."""
from decimal import Decimal as D

promotion, prepaid = D(50), D(500)
for month, calls in [("2026-10", 3000), ("2026-11", 20000), ("2026-12", 40000)]:
    usage = calls * D("0.01")
    if month != "2026-10":
        promotion = D(0)
    promoted = min(promotion, usage)
    paid = min(prepaid, usage - promoted)
    promotion -= promoted
    prepaid -= paid
    print(month, "by_kind usage", usage)
    print(month, "by_kind credit", -(promoted + paid))
    if month != "2026-10":
        print(month, "balance prepaid", prepaid)
    print(month, "total", usage - promoted - paid)
