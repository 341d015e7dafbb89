"""What 02-reservations.yaml must come to, worked out by itself."""
from decimal import Decimal as D

FACTORS = {"m5.large": 4, "m5.xlarge": 8, "m5.2xlarge": 16}
RATES = {"m5.xlarge": D("0.20"), "m5.large.windows": D("0.19")}

# The zonal reservation of C and the exact one of D are used by A's machines of their zone and size.
units = 5 * 4
covered = [("A", "m5.large", 1), ("A", "g4dn.xlarge", 1)]
for account, size in (("A", "m5.2xlarge"), ("B", "m5.large"), ("B", "m5.xlarge")):      # the owner, then the smallest
    part = min(D(1), D(units) / FACTORS[size])
    units -= part * FACTORS[size]
    if part:
        covered.append((account, size, part))
left_of_e = 8 - FACTORS["m5.large"]
covered.append(("E", "m5.large", 1))
for account, size, part in covered:
    print(f"quantity {account}.{size}.covered", part)
print("quantity A.m5.large.windows.usage 1")
print("quantity B.m5.xlarge.usage 1")

fees = {"A": 5 * D("0.06"), "C": D("0.07"), "D": D("0.30"), "E": D("0.12")}
print("unused r-a", units)
print("unused r-c 0")
print("unused r-d 0")
print("unused r-e", left_of_e)
print("effective r-a", fees["A"] * (20 - units) / 20)
print("effective r-c", fees["C"])
print("effective r-d", fees["D"])
print("effective r-e", fees["E"] * FACTORS["m5.large"] / 8)
print("effective B", RATES["m5.xlarge"] + fees["A"] * 4 / 20)
print("by_kind commitment", sum(fees.values()))
print("by_kind covered 0")
print("by_kind usage", sum(RATES.values()))
print("by_account A", fees["A"] + RATES["m5.large.windows"])
print("by_account B", RATES["m5.xlarge"])
for account in "CDE":
    print("by_account", account, fees[account])
print("total", sum(fees.values()) + sum(RATES.values()))
