"""What 50-a-pool-over-products.yaml must come to, worked out by itself."""
from collections import Counter
from decimal import Decimal as D

free, climbed = 750, 0
by_account, by_sku = Counter(), Counter()
for account, sku, hours in [("web", "vm.small", 500), ("lab", "vm.large", 200), ("web", "vm.large", 100), ("lab", "vm.small", 300)]:
    units = hours * (4 if sku == "vm.large" else 1)
    taken = min(free, units)
    free -= taken
    paid = units - taken
    dear = min(max(1000 - climbed, 0), paid)
    climbed += paid
    amount = dear * D("0.02") + (paid - dear) * D("0.015")
    by_account[account] += amount
    by_sku[sku] += amount

for account, amount in by_account.items():
    print("by_account", account, amount)
for sku, amount in by_sku.items():
    print("by_sku", sku, amount)
print("total", sum(by_sku.values()))
