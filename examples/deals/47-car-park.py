"""What 47-car-park.yaml must come to, worked out by itself."""
from fractions import Fraction
from math import ceil

stays = {("A", "Monday"): [25, 95, 600], ("B", "Monday"): [600], ("A", "Tuesday"): [61]}

cars, charged = {}, 0
for (car, _), minutes in stays.items():
    day = sum(2 * ceil(max(Fraction(stay, 60) - Fraction(1, 2), 0)) for stay in minutes)
    charged += day
    cars[car] = cars.get(car, 0) + min(day, 15)

for car, amount in cars.items():
    print("by_resource", car, amount)
print("by_kind usage", charged)
print("by_kind cap", sum(cars.values()) - charged)
print("total", sum(cars.values()))
