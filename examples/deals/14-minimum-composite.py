"""What 14-minimum-composite.yaml must come to, worked out by itself."""
from decimal import ROUND_HALF_UP, Decimal as D

CENT = D("0.01")
usage = {"globex": D("249.6"), "initech": D(90), "hooli": D(4000)}
least = {"globex": D(100), "initech": D(100) * 16 / 31, "hooli": D(100)}

charged = {account: gb * D("0.25") for account, gb in usage.items()}
missing = {account: max(least[account] - charged[account], D(0)).quantize(CENT, ROUND_HALF_UP) for account in usage}

for account in usage:
    print("by_account", account, charged[account] + missing[account])
print("by_kind usage", sum(charged.values()))
print("by_kind minimum", sum(missing.values()))
print("total", sum(charged.values()) + sum(missing.values()))
