"""What 27-cumulative-grouped-bulk.yaml must come to, worked out by itself."""
from decimal import Decimal as D

months = {"2026-10": (700, 4000), "2026-11": (800, 2000), "2026-12": (500, 5000)}


def cost(pages):
    return pages * D("0.10" if pages <= 1000 else "0.08" if pages <= 10000 else "0.05")


read, billed = [0, 0], D(0)
for month, pages in months.items():
    read = [before + now for before, now in zip(read, pages)]
    charges = sum(map(cost, read))
    print(month, "total", charges - billed)
    billed = charges
print("2026-12 charges", billed)
