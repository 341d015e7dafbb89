"""What 04-exchange.yaml must come to, worked out by itself."""
from decimal import Decimal as D

hour, hours = D(876) / 8760, 744
print("2026-10 total 876")
print("2026-10 effective r-1", hour)
print("2026-10 effective all", hour * hours)
print("2026-10 unused r-1", hours - 1)
days = 31 + 10                                               # until 11 November
back = D(876) * (365 - days) / 365
assert 1752 >= back and (876 - back) / (days * 24) == hour
new_hour, new_hours = D(1752) / 8760, 20 * 24
print("2026-11 total", 1752 - back)
print("2026-11 by_period 2026-10", -back)
print("2026-11 quantity D2s.covered 1")
print("2026-11 quantity D4s.covered 1")
print("2026-11 unused r-1", 10 * 24 - 1)
print("2026-11 unused r-2", 2 * (new_hours - 1))               # in units of the smallest size
print("2026-11 effective r-1", hour)
print("2026-11 effective r-2", new_hour)
print("2026-11 effective all", hour * 10 * 24 + new_hour * new_hours)
