"""What 06-spot.yaml must come to, worked out by itself."""
from decimal import Decimal as D

prices = {"m5.large": [(D(10) + D("0.5"), D("0.03")), (D(24), D("0.05"))], "m5.xlarge": [(D(24), D("0.06"))]}   # until when, of the day


def billed(minutes, ended_by, platform):
    if platform == "suse":
        return minutes // 60 * 60 if ended_by == "provider" else -(-minutes // 60) * 60
    return 0 if ended_by == "provider" and minutes < 60 else minutes


runs = [("i-1", "m5.large", D(8), 25, "provider", "linux"), ("i-2", "m5.xlarge", D(8), 24, "user", "linux"), ("i-3", "m5.large", D("9.5"), 90, "provider", "linux"),
        ("i-4", "m5.xlarge", D(8), 25, "user", "suse"), ("i-5", "m5.xlarge", D(8), 85, "provider", "suse")]
hours, total = {}, D(0)
for name, size, at, minutes, ended_by, platform in runs:
    left = D(billed(minutes, ended_by, platform)) / 60
    hours[size] = hours.get(size, 0) + left
    cost = D(0)
    for until, rate in prices[size]:
        part = min(left, max(until - at, 0))
        at, left, cost = at + part, left - part, cost + part * rate
        if name == "i-3":
            print(f"line resource=i-3 rate={rate} quantity", part)
            print(f"line resource=i-3 rate={rate} amount", part * rate)
    print("by_resource", name, cost)
    total += cost
for size, quantity in hours.items():
    print(f"quantity spot.{size}.usage", quantity)
print("total", total)
