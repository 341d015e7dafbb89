"""What 01-reservations.yaml must come to, worked out by itself."""
from decimal import Decimal as D

RATIO, RATE = {"D2s": 1, "D4s": 2, "D8s": 4}, {"D2s": D("0.10"), "D4s": D("0.20"), "D8s": D("0.40")}
hours = [[("s1", "a", "D2s", "web", D("0.75")), ("s1", "b", "D2s", "web", D("0.5")), ("s1", "c", "D8s", "db", D(1)), ("s2", "d", "D4s", "web", D(1))],
         [("s1", "a", "D2s", "web", D(1))]]
reservations = [("r-group", 1, D("0.07"), lambda account, group: account == "s1" and group == "web"),
                ("r-sub", 2, D("0.07") * 2, lambda account, group: account == "s1"), ("r-all", 4, D("0.13") * 2, lambda account, group: True)]

covered, left_of, unused, used = {}, {}, {}, {}
for machines in hours:
    todo = {(account, vm, size, group): quantity for account, vm, size, group, quantity in machines}
    for name, units, fee, reaches in reservations:
        left = D(units)
        for machine in sorted(todo, key=lambda m: (RATIO[m[2]], m[1])):
            if reaches(machine[0], machine[3]):
                part = min(todo[machine], left / RATIO[machine[2]])
                todo[machine] -= part
                left -= part * RATIO[machine[2]]
                covered[machine[2]] = covered.get(machine[2], 0) + part
        unused[name] = unused.get(name, 0) + left
        used[name] = used.get(name, 0) + fee * (units - left) / units
    for machine, quantity in todo.items():
        left_of[machine[2]] = left_of.get(machine[2], 0) + quantity
for size in RATIO:
    print(f"quantity {size}.covered", covered[size])
    print("by_sku", size, left_of[size] * RATE[size])
print("quantity D8s.usage", left_of["D8s"])
print("quantity windows.cores.usage", 1 * 4)
windows = 4 * D("0.046")
print("by_sku windows.cores", windows)
for name, _, _, _ in reservations:
    print("unused", name, unused[name])
    print("effective", name, used[name])
fees = {"s1": 2 * (D("0.07") + D("0.07") * 2), "s2": 2 * D("0.13") * 2}
print("by_account s1", fees["s1"] + left_of["D8s"] * RATE["D8s"])
print("by_account s2", fees["s2"] + windows)
print("total", sum(fees.values()) + left_of["D8s"] * RATE["D8s"] + windows)
