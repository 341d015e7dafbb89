"""What 04-tiered.yaml must come to, worked out by itself."""
from decimal import Decimal

used, total = 12500, Decimal(0)
tiers = [(0, 1000, "0.10"), (1000, 10000, "0.08"), (10000, used, "0.06")]

for number, (above, up_to, rate) in enumerate(tiers):
    part = min(used, up_to) - above
    total += part * Decimal(rate)
    print("line", f"tier={number} rate={rate}", "quantity", part)
    print("line", f"tier={number} rate={rate}", "amount", part * Decimal(rate))
print("total", total)
