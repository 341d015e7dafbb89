"""What 10-billing-groups.yaml must come to, worked out by itself."""
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


org = graduated(sum(gigabytes.values()), PUBLIC) + 744 * D("0.06")       # its reservation covers the one machine
storage = graduated(gigabytes["red-1"] + gigabytes["red-2"], PUBLIC)
lease = 744 * D("0.05")
off, on_top = storage * 2 / 100, lease * 20 / 100
service = (storage - off + lease + on_top) * 5 / 100
red = storage - off + lease + on_top + service + 50
blue = graduated(gigabytes["blue-1"], BLUE) + D("0.10") - 30
print("by_contract org", org)
print("by_contract red", red)
print("by_contract blue", blue)
print("margin red + blue - org", red + blue - org)
print("by_step storage rule", -off)
print("by_step global rule", on_top)
print("by_step service", service)
print("by_step goodwill", -30)
