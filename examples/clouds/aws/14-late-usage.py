"""What 14-late-usage.yaml must come to, worked out by itself."""
from decimal import Decimal as D

UNITS, FACTOR, RATE = 16, {"m5.large": 4, "m5.4xlarge": 32}, {"m5.large": D("0.10"), "m5.4xlarge": D("0.80")}


def cover(sizes):
    """What of each machine is covered in one hour, small before large, and what is lost."""
    left, covered = D(UNITS), {}
    for size in sorted(sizes, key=FACTOR.get):
        covered[size] = min(D(1), left / FACTOR[size])
        left -= covered[size] * FACTOR[size]
    return covered, left


def month(first, second, hours):
    usage, lost = D(0), D(UNITS) * (hours - 2)
    parts = {}
    for sizes in (first, second):
        covered, left = cover(sizes)
        lost += left
        for size in sizes:
            usage += (1 - covered[size]) * RATE[size]
            parts[size] = parts.get(size, 0) + covered[size]
    return usage, parts, lost


before, parts_before, lost = month(["m5.4xlarge"], ["m5.4xlarge"], 744)
after, parts_after, _ = month(["m5.4xlarge", "m5.large"], ["m5.4xlarge"], 744)
october, november = 744 * D("0.25"), 720 * D("0.25")
print("2026-10 quantity m5.4xlarge.covered", parts_before["m5.4xlarge"])
print("2026-10 quantity m5.4xlarge.usage", 2 - parts_before["m5.4xlarge"])
print("2026-10 by_kind commitment", october)
print("2026-10 by_kind usage", before)
print("2026-10 by_kind discount", -(october + before) / 10)
print("2026-10 unused r", lost)
print("2026-10 total", (october + before) * 9 / 10)
moved = parts_after["m5.4xlarge"] - parts_before["m5.4xlarge"]
print("2026-11 by_period 2026-10", (after - before) * 9 / 10)
print("2026-11 quantity m5.large.covered", parts_after["m5.large"])
print("2026-11 quantity m5.4xlarge.covered", moved)
print("2026-11 quantity m5.4xlarge.usage", -moved)
print("2026-11 by_kind commitment", november)
print("2026-11 by_kind usage", after - before)
print("2026-11 by_kind discount", -(november + after - before) / 10)
print("2026-11 total", (november + after - before) * 9 / 10)
