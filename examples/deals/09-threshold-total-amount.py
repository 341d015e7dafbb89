"""What 09-threshold-total-amount.yaml must come to, worked out by itself."""
steps = [(500, 15), (2500, 45), (10000, 110), (float("inf"), 190)]
contacts = {"florist": 500, "bakery": 501, "airline": 250000}
costs = {account: next(amount for up_to, amount in steps if count <= up_to) for account, count in contacts.items()}

for account, amount in costs.items():
    print("by_account", account, amount)
print("total", sum(costs.values()))
