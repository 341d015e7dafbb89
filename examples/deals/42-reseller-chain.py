"""What 42-reseller-chain.yaml must come to, worked out by itself."""
from decimal import Decimal as D

hours = {"globex": 9000, "initech": 3500}

all_hours = sum(hours.values())
cloud = min(all_hours, 10000) * D("0.10") + max(all_hours - 10000, 0) * D("0.08")
distribution = cloud * 104 / 100
globex, initech = hours["globex"] * D("0.12") * 90 / 100, hours["initech"] * D("0.12")

print("by_contract cloud", cloud)
print("by_contract distribution", distribution)
print("by_contract globex", globex)
print("by_contract initech", initech)
print("margin distribution - cloud", distribution - cloud)
