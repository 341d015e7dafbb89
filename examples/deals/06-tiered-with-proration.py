"""What 06-tiered-with-proration.yaml must come to, worked out by itself."""
from decimal import Decimal
from fractions import Fraction

rates = [Fraction(31)] * 10 + [Fraction(Decimal("24.80"))] * 2     # of the first seat to the twelfth
parts = [Fraction(31, 31)] * 8 + [Fraction(16, 31)] * 4            # of the month that each is there
costs = [rate * part for rate, part in zip(rates, parts)]

print("by_tier 0", sum(costs[:10]))
print("by_tier 1", sum(costs[10:]))
print("total", sum(costs))
