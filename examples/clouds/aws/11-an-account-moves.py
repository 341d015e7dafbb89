"""What 11-an-account-moves.yaml must come to, worked out by itself."""
from decimal import Decimal as D

PUBLIC = [(51200, D("0.023")), (512000, D("0.022")), (None, D("0.021"))]
BLUE = [(1000, D("0.025")), (None, D("0.024"))]
gigabytes = {"red-1": 20000, "red-2": 40000, "blue-1": 5000}


def graduated(quantity, tiers):
    cost, below = D(0), 0
    for end, rate in tiers:
        cost += max((quantity if end is None else min(quantity, end)) - below, 0) * rate
        below = end
    return cost


org = graduated(sum(gigabytes.values()), PUBLIC) + 744 * D("0.06")
red = (graduated(gigabytes["red-1"], PUBLIC) * 98 / 100 + 744 * D("0.05") * 120 / 100) * 105 / 100 + 50
blue = graduated(gigabytes["blue-1"] + gigabytes["red-2"], BLUE) + D("0.10") - 30
print("2026-10 by_contract org", org)
print("2026-10 by_contract red", red)
print("2026-10 by_contract blue", blue)
print("2026-10 margin red + blue - org", red + blue - org)
