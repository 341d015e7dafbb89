"""What 07-enterprise.yaml must come to, worked out by itself."""
from decimal import Decimal as D

# account, product, SKU, what it comes to after bundles; in the order of their time, account, resource and SKU
charges = [["a", "s3", "s3.standard", 10000 * D("0.023")],
           ["a", "network", "firewall.gb", 500 * D("0.065")], ["a", "network", "firewall.hours", 720 * D("0.395")],
           ["a", "network", "nat.gb", (800 - 500) * D("0.045")], ["a", "network", "nat.hours", (1440 - 720) * D("0.045")],
           ["b", "marketplace", "marketplace.scanner", 100 * D("0.50")], ["b", "network", "transfer.out", 10000 * D("0.09")]]
usage = sum(charge[3] for charge in charges)
gross_of_a = sum(charge[3] for charge in charges if charge[0] == "a")
support = max(D(100), gross_of_a * 10 / 100)
steps = {"private": D(0), "cross_service": D(0), "edp": D(0)}
for charge in charges:
    if charge[1] == "marketplace":
        continue
    own = "private" if charge[1] == "s3" else "cross_service"
    off = charge[3] * (15 if own == "private" else 5) / 100
    steps[own] -= off
    edp = (charge[3] - off) * 10 / 100
    steps["edp"] -= edp
    charge[3] -= off + edp

grants = [["c1", D(10), "2026-12-01", 99, {"s3", "network", "marketplace"}], ["c2", D(20), "2026-12-01", 1, {"s3"}], ["c3", D(500), "2027-03-01", 2, {"s3", "network"}]]
grants.sort(key=lambda grant: (grant[2], grant[3]))
paid = dict.fromkeys(("c1", "c2", "c3"), D(0))


def left_of(account, product=None):
    return sum(c[3] for c in charges if c[0] == account and product in (None, c[1])) + (support if account == "a" and product is None else 0)


for charge in sorted(charges, key=lambda c: (-left_of(c[0]), -left_of(c[0], c[1]), -c[3])):      # sums as they are before
    for grant in grants:
        if charge[1] in grant[4]:
            part = min(grant[1], charge[3])
            grant[1], charge[3], paid[grant[0]] = grant[1] - part, charge[3] - part, paid[grant[0]] + part

left = {account: sum(charge[3] for charge in charges if charge[0] == account) for account in ("a", "b")}
left["a"] += support
taxes = {"a": left["a"] * 19 / 100, "b": left["b"] * 20 / 100}
print("by_kind usage", usage)
print("by_kind fee", support)
print("by_kind discount", sum(steps.values()))
print("by_kind credit", -sum(paid.values()))
print("by_kind tax", sum(taxes.values()))
for name, amount in steps.items():
    print("by_step", name, amount)
print("line account=a kind=fee sku=support.business amount", support)
for name, amount in paid.items():
    print("line kind=credit", f"grant={name}", "amount", -amount)
for grant in grants:
    print("balance", grant[0], grant[1])
for account in ("a", "b"):
    print("net", account, left[account] + taxes[account])
print("total", sum(left.values()) + sum(taxes.values()))
