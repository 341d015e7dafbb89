"""What 07-tiered-package.yaml must come to, worked out by itself."""
from fractions import Fraction
from math import ceil

packages = ceil(Fraction(9100 + 3400, 1000))
first, rest = min(packages, 10) * 5, max(packages - 10, 0) * 3

print("by_tier 0", first)
print("by_tier 1", rest)
print("total", first + rest)
