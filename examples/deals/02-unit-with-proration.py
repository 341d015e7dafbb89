"""What 02-unit-with-proration.yaml must come to, worked out by itself."""
from fractions import Fraction

days, rate = 31, 31
seats = 10 + 2 * Fraction(days - 15, days) - 1 * Fraction(days - 24, days)

print("total", seats * rate)
