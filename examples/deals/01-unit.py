"""What 01-unit.yaml must come to, worked out by itself."""
from decimal import Decimal

rate = Decimal("0.002")
calls = {"globex": 1250, "initech": 48000}

print("total", sum(calls.values()) * rate)
for account, count in calls.items():
    print("by_account", account, count * rate)
