"""What 43-trial-and-ramp.yaml must come to, worked out by itself."""
from decimal import ROUND_HALF_UP, Decimal as D


def show(month, platform, calls, free, rate):
    platform = platform.quantize(D("0.01"), ROUND_HALF_UP)
    used = max(calls - free, 0) * rate
    print(month, "total", platform + used)
    if used:
        print(month, "by_sku platform", platform)
        print(month, "by_sku call", used)


show("2026-10", D(200) * 16 / 31, 12000, 10000, D("0.01"))
show("2026-11", D(200), 14500, 10000, D("0.01"))
show("2026-12", D(500), 49000, 50000, D("0.008"))
show("2027-01", D(800), 130000, 100000, D("0.005"))
