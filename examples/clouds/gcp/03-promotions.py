"""What 03-promotions.yaml must come to, worked out by itself."""
from decimal import Decimal as D

left = {"trial": D(300), "promotion": D(50)}
for month, storage, sql in (("2026-10", 10000 * D("0.02"), D(0)), ("2026-11", 12500 * D("0.02"), 100 * D("0.05"))):
    due, paid = storage, {}
    for grant in ("trial", "promotion"):                      # the trial ends first; both live when storage is charged
        paid[grant] = min(due, left[grant])
        left[grant] -= paid[grant]
        due -= paid[grant]
    print(month, "by_kind usage", storage + sql)
    print(month, "by_kind credit", -sum(paid.values()))
    for grant in left:
        if month == "2026-11":
            print(month, f"line kind=credit grant={grant} amount", -paid[grant])
        print(month, "balance", grant, left[grant])
    print(month, "total", due + sql)
