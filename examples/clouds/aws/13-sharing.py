"""What 13-sharing.yaml must come to, worked out by itself."""
from decimal import Decimal as D

# Settings of the last instant of October: y is in no group any more, n shares with nobody.
group = {"p": "dev", "g": "dev", "q": "lab", "h": "lab"}
alone = {"n"}
accounts = sorted(["p", "g", "x", "y", "z", "q", "h", "n"])
machines = {account: D(1) for account in ("p", "g", "x", "y", "z")}        # m5.large, four units each
pool = D(4)
covered = dict.fromkeys(machines, D(0))
turns = [["p"], [a for a in accounts if group.get(a) == "dev"], [a for a in accounts if a not in alone]]
for turn in turns:
    for account in turn:
        part = min(pool, machines.get(account, 0) - covered.get(account, 0))
        if part > 0:
            pool, covered[account] = pool - part, covered[account] + part
for account in ("p", "g", "x", "y"):
    print(f"quantity {account}.m5.large.covered", covered[account])
print("quantity z.m5.large.usage", machines["z"] - covered["z"])
print("quantity h.m5.xlarge.covered 1")
print("quantity x.c5.xlarge.usage 1")
own = D(4) / 8                                                         # of n's machine of eight units
print("quantity n.m5.xlarge.covered", own)
print("unused pool", 4 * pool)
print("unused lab", D("0.50") - D("0.14"))
print("unused own 0")
cost = {"p": 4 * D("0.06"), "q": D("0.50"), "h": D(0), "n": D("0.06") + (1 - own) * D("0.20")}
for account in ("p", "g", "x", "y", "z"):
    cost[account] = cost.get(account, 0) + (machines[account] - covered[account]) * D("0.10")
cost["x"] += D("0.17")
for account, amount in cost.items():
    print("by_account", account, amount)
print("total", sum(cost.values()))
