"""What 48-data-with-rollover.yaml must come to, worked out by itself."""
kept = 0
for month, used in [("2026-10", 3), ("2026-11", 13), ("2026-12", 14)]:
    free = 10 + kept
    extra = max(used - free, 0)
    kept = min(max(free - used, 0), 5)
    print(month, "total", 20 + extra * 2)
    if extra:
        print(month, "by_sku plan 20")
        print(month, "by_sku data.gb", extra * 2)
