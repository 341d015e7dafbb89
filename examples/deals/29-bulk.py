"""What 29-bulk.yaml must come to, worked out by itself."""
from decimal import Decimal as D

emails = {"globex": 100000, "initech": 100001, "hooli": 6400000}
costs = {}
for account, count in emails.items():
    rate = D("0.0010") if count <= 100000 else D("0.0008") if count <= 1000000 else D("0.0005")
    costs[account] = count * rate

for account, amount in costs.items():
    print("by_account", account, amount)
print("total", sum(costs.values()))
