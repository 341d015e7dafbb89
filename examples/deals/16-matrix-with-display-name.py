"""What 16-matrix-with-display-name.yaml must come to, worked out by itself."""
from decimal import Decimal as D
from fractions import Fraction

a100 = Fraction(5400, 3600) * Fraction(D("1.79"))
h100 = Fraction(1800 + 2700, 3600) * Fraction(D("2.99"))

print("by_sku NVIDIA A100 80 GB", a100)
print("by_sku NVIDIA H100 80 GB", h100)
print("total", a100 + h100)
