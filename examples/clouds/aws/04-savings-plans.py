"""What 04-savings-plans.yaml must come to, worked out by itself."""
from decimal import Decimal as D

OD = {"r5.4xlarge": D("1.00"), "c5.xlarge": D("0.17"), "fargate.vcpu": D("0.04"), "fargate.gb": D("0.004")}
NARROW = {"r5.4xlarge": D("0.60")}
WIDE = {"r5.4xlarge": D("0.66"), "c5.xlarge": D("0.12"), "fargate.vcpu": D("0.03"), "fargate.gb": D("0.003")}


def plan_pays(pool, rates, usage):
    """Takes of the usage what the pool pays for, most savings first, then the lowest rate: {sku: quantity}, what is left."""
    taken = {}
    for sku in sorted((s for s in usage if s in rates), key=lambda s: (-(1 - rates[s] / OD[s]), rates[s])):
        taken[sku] = min(usage[sku], pool / rates[sku])
        pool -= taken[sku] * rates[sku]
        usage[sku] -= taken[sku]
    return taken, pool


hours = [({"r5.4xlarge": D(4), "c5.xlarge": D(2), "fargate.vcpu": D(40), "fargate.gb": D(160)}, {"r5.4xlarge": D(1)}), ({"c5.xlarge": D(1)}, {})]
leased, by_plan, lost, spent, on_demand = D(0), {}, {"lease": D(0), "narrow": D(0), "wide": D(0)}, {"narrow": D(0), "wide": D(0)}, {}
for own, other in hours:
    one = min(own.get("r5.4xlarge", D(0)), D(1))
    if one:
        own["r5.4xlarge"] -= one
    leased, lost["lease"] = leased + one, lost["lease"] + 32 * (1 - one)
    for plan, pool, rates in (("narrow", D("1.20"), NARROW), ("wide", D("2.43"), WIDE)):
        for usage in (own, other):
            before = pool
            taken, pool = plan_pays(pool, rates, usage)
            spent[plan] += before - pool
            for sku, quantity in taken.items():
                by_plan[plan, sku] = by_plan.get((plan, sku), 0) + quantity
        lost[plan] += pool
    for account, usage in (("own", own), ("B", other)):
        for sku, quantity in usage.items():
            on_demand[account, sku] = on_demand.get((account, sku), 0) + quantity

covered = {}
for (plan, sku), quantity in by_plan.items():
    covered[sku] = covered.get(sku, 0) + quantity
print("quantity own.r5.4xlarge.covered", leased + covered["r5.4xlarge"])
for sku in ("c5.xlarge", "fargate.gb", "fargate.vcpu"):
    print(f"quantity own.{sku}.covered", covered[sku])
print("quantity own.fargate.vcpu.usage", on_demand["own", "fargate.vcpu"])
print("quantity B.r5.4xlarge.usage", on_demand["B", "r5.4xlarge"])
print("quantity r5.4xlarge.negation", -covered["r5.4xlarge"])

at_list = sum(OD[sku] * quantity for sku, quantity in covered.items())
usage = {account: sum(OD[sku] * q for (a, sku), q in on_demand.items() if a == account) for account in ("own", "B")}
fees = 2 * (D("0.55") + D("1.20") + D("2.43"))
print("by_kind covered", at_list)
print("by_kind negation", -at_list)
print("by_kind usage", sum(usage.values()))
print("by_kind commitment", fees)
for sku in OD:
    print("by_sku", sku, sum(OD[sku] * q for (_, s), q in on_demand.items() if s == sku))
for name, quantity in lost.items():
    print("unused", name, quantity)
print("effective lease", D("0.55") * leased)
print("effective narrow", spent["narrow"])
print("effective wide", spent["wide"])
print("effective own", fees + usage["own"])
print("effective all", fees + sum(usage.values()))
vcpu = by_plan["wide", "fargate.vcpu"]
print("line kind=covered sku=fargate.vcpu grant=wide quantity", vcpu)
print("line kind=covered sku=fargate.vcpu grant=wide amount", vcpu * OD["fargate.vcpu"])
print("line kind=covered sku=fargate.vcpu grant=wide list", vcpu * OD["fargate.vcpu"])
print("line kind=covered sku=fargate.vcpu grant=wide effective", vcpu * WIDE["fargate.vcpu"])
print("line kind=negation sku=fargate.vcpu quantity", -vcpu)
print("line kind=negation sku=fargate.vcpu amount", -vcpu * OD["fargate.vcpu"])
print("line kind=covered sku=r5.4xlarge grant=lease quantity", leased)
print("line kind=covered sku=r5.4xlarge grant=lease amount 0")
print("line kind=covered sku=r5.4xlarge grant=lease list", leased * OD["r5.4xlarge"])
print("line kind=covered sku=r5.4xlarge grant=lease effective", leased * D("0.55"))
print("total", fees + sum(usage.values()))
