"""What 02-savings-plans.yaml must come to, worked out by itself."""
from decimal import Decimal as D

LIST = {"D2s": D("0.10"), "D4s": D("0.20"), "E4s": D("0.25"), "E8s": D("0.50")}
OWN = LIST | {"E8s": D("0.24")}
PLAN = {3: {"D2s": D("0.06"), "D4s": D("0.12"), "E4s": D("0.125"), "E8s": D("0.25")}, 1: {"D2s": D("0.08"), "D4s": D("0.16"), "E4s": D("0.20"), "E8s": D("0.40")}}
todo = {("s1", "D4s"): D(2), ("s1", "E4s"): D(1), ("s1", "E8s"): D(1), ("s2", "D2s"): D(3)}
covered = {}
for name, years, reach, amount in (("three", 3, {"s1"}, D("0.425")), ("one", 1, {"s1", "s2"}, D("0.50"))):
    rates = {size: min(rate, OWN[size]) for size, rate in PLAN[years].items()}
    left = amount
    for row in sorted((row for row in todo if row[0] in reach), key=lambda row: (rates[row[1]] / LIST[row[1]], rates[row[1]])):
        part = min(todo[row], left / rates[row[1]])
        todo[row] -= part
        left -= part * rates[row[1]]
        covered[row[1]] = covered.get(row[1], 0) + part
        if (name, row[1]) in (("three", "E8s"), ("three", "D4s"), ("one", "D4s")):
            print(f"line grant={name} sku={row[1]} quantity", part)
            print(f"line grant={name} sku={row[1]} list", part * LIST[row[1]])
            print(f"line grant={name} sku={row[1]} effective", part * rates[row[1]])
    print("effective", name, amount - left)
    print("unused", name, left)
for size in ("D4s", "E4s", "D2s", "E8s"):
    print(f"quantity {size}.covered", covered[size])
print("quantity D4s.usage", todo["s1", "D4s"])
total = D("0.425") + D("0.50") + sum(quantity * OWN[size] for (_, size), quantity in todo.items())
print("effective all", total)
print("total", total)
