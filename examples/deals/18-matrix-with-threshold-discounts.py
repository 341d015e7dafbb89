"""What 18-matrix-with-threshold-discounts.yaml must come to, worked out by itself."""
from decimal import Decimal as D

rates = {("eu", "large"): D("0.44"), ("us", "large"): D("0.40"), ("eu", "small"): D("0.11"), ("us", "small"): D("0.10")}
hours = {"globex": {("eu", "large"): 10000, ("us", "small"): 8000, ("us", "large"): 2500}, "initech": {("eu", "small"): 9000}}


def part(amount, above, up_to):
    return max(min(amount, up_to) - above, D(0))


spent, off = {}, {}
for account, used in hours.items():
    spent[account] = sum(count * rates[place] for place, count in used.items())
    off[account] = part(spent[account], D(1000), D(5000)) * 10 / 100 + part(spent[account], D(5000), spent[account]) * 20 / 100
    print("by_account", account, spent[account] - off[account])
print("by_kind usage", sum(spent.values()))
print("by_kind discount", -sum(off.values()))
print("total", sum(spent.values()) - sum(off.values()))
