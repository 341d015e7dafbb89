"""What 03-unit-with-percent.yaml must come to, worked out by itself."""
from decimal import Decimal

public = 1488 * Decimal("0.50")

print("total", public * 65 / 100)
