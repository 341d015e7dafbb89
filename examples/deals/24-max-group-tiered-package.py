"""What 24-max-group-tiered-package.yaml must come to, worked out by itself."""
from fractions import Fraction
from math import ceil

feeds = {"a": 2600 + 900, "b": 2500 + 2800}
packages = ceil(Fraction(max(feeds.values()), 1000))
first, rest = min(packages, 2) * 40, max(packages - 2, 0) * 30

print("by_tier 0", first)
print("by_tier 1", rest)
print("total", first + rest)
