"""What 05-tiered-with-minimum.yaml must come to, worked out by itself."""
from decimal import Decimal


def cost(messages):
    first, rest = min(messages, 1000), max(messages - 1000, 0)
    amount = max(first * Decimal("0.10"), 50) if first else 0
    return amount + (max(rest * Decimal("0.05"), 25) if rest else 0)


usage = {"few": 300, "some": 1100, "many": 2000}
for account, messages in usage.items():
    print("by_account", account, cost(messages))
print("total", sum(map(cost, usage.values())))
