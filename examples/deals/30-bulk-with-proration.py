"""What 30-bulk-with-proration.yaml must come to, worked out by itself."""
from decimal import Decimal
from fractions import Fraction

rate = Fraction(Decimal("24.80") if 8 + 4 > 10 else Decimal(31))
months = {8: 8 * Fraction(31, 31), 4: 4 * Fraction(16, 31)}

for seats, part in months.items():
    print("by_dim seats", seats, part * rate)
print("total", sum(months.values()) * rate)
