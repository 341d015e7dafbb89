"""What 45-support-and-tax.yaml must come to, worked out by itself."""
from decimal import ROUND_HALF_UP, Decimal as D

machines = {"globex": 140000 * D("0.10"), "initech": 4000 * D("0.10"), "hooli": 50000 * D("0.10")}
books = {"globex": D(0), "initech": 3 * D("12.50"), "hooli": D(0)}


def support(spent):
    return max(min(spent, D(10000)) * 10 / 100 + max(spent - 10000, D(0)) * 7 / 100, D(100))


def tax(amount, percent):
    return (amount * percent / 100).quantize(D("0.01"), ROUND_HALF_UP)


fees = {account: support(spent) for account, spent in machines.items()}
taxes = {account: tax(machines[account], 19) + tax(fees[account], 19) + tax(books[account], 7) for account in machines}
taxes["hooli"] = D(0)

for account in machines:
    print("by_account", account, machines[account] + books[account] + fees[account] + taxes[account])
print("by_kind usage", sum(machines.values()) + sum(books.values()))
print("by_kind fee", sum(fees.values()))
print("by_kind tax", sum(taxes.values()))
print("total", sum(sum(part.values()) for part in (machines, books, fees, taxes)))
