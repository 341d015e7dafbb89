"""What 31-bulk-with-filters.yaml must come to, worked out by itself."""
from decimal import Decimal as D

messages = ["DE delivered", "DE delivered", "DE failed", "FR delivered", "DE delivered", "DE delivered"]

german, other = messages.count("DE delivered"), messages.count("FR delivered")
german_cost = german * D("0.07" if german <= 3 else "0.06")
other_cost = other * D("0.09")

print("by_sku message.de", german_cost)
print("by_sku message.other", other_cost)
print("excluded NO_METER", len(messages) - german - other)
print("total", german_cost + other_cost)
