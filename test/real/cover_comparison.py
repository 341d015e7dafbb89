"""What reservations covered, cost and left unused: ours against the report's.

Which resource of a size an account's hour of reservation fell on is the provider's secret, and makes no difference to
what anything costs.  So the quantity is compared for each hour, account, SKU and reservation, exactly; and each line of
the report, with its resource, must cost what its share of that comes to, to the digits that are printed."""
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal

from reservations import before_name, factor_of

SPREAD = Decimal("1e-8")    # digits of what is spread over hours
CHARGED = Decimal("1e-10")  # digits of what is charged


def rounded(number, unit=SPREAD):
    return number.quantize(unit, ROUND_HALF_UP)


def hour_of(row):
    return row["from"][:10] + " " + (row["from"][11:13] or "00")


class Part:
    """`recurring`: of `effective`, what is no part of an advance payment."""

    def __init__(self):
        self.quantity = self.effective = self.recurring = self.list = self.charged = Decimal(0)


class Covers:
    """Our lines of commitments.  The recurring part of what is effective is that of a second bill, where nothing was
    paid in advance."""

    def __init__(self, reservations, rows, rows_without):
        self.covered, self.used, self.unused, self.fees = (defaultdict(Part) for _ in range(4))
        before = {before_name(one.id): one.id for one in reservations.items}
        for row in rows:
            if row["step"] in before:
                self.fees[before[row["step"]]].charged += Decimal(row["exact"])
            for part in self.parts(reservations, row):
                part.quantity += Decimal(row["quantity"] or 0)
                part.charged += Decimal(row["exact"] or 0)
                part.effective += Decimal(row["effective"] or 0)
                part.list += Decimal(row["list"] or 0)
        for row in rows_without:
            for part in self.parts(reservations, row):
                part.recurring += Decimal(row["effective"] or 0)

    def parts(self, reservations, row):
        who = row["grant"]
        if row["kind"] == "covered":
            return (self.covered[hour_of(row), row["account"], row["sku"], reservations.group_of[who]],
                    self.used[who, row["sku"]])
        return ((self.unused[who],) if row["kind"] == "unused" else
                (self.fees[who],) if row["kind"] == "commitment" and row["step"] == "recurring" else ())


def is_of_reservations(row, reservations):
    return row["kind"] in ("covered", "commitment", "unused") or row["step"] in {
        before_name(one.id) for one in reservations.items}


def compare_covers(result, report, reservations, covers):
    theirs = defaultdict(list)
    for row in report.cover_rows:
        sku = report.covered_by[row["id"], row["start_hour"]].sku
        theirs[row["start_hour"], row["account"], sku, reservations.group_of[row["reservation"]]].append(row)
    factors = {}
    for key in sorted(set(theirs) | set(covers.covered)):
        rows, part = theirs.get(key, []), covers.covered.get(key, Part())
        quantity = sum(Decimal(row["usage_amount"]) for row in rows)
        result.hold(quantity == part.quantity, "%s %s %s by %s: covered %s, really %s", *key, part.quantity, quantity)
        if quantity != part.quantity:
            continue
        for row in rows:
            share = Decimal(row["usage_amount"]) / quantity
            advance, fee = rounded((part.effective - part.recurring) * share), rounded(part.recurring * share)
            ours = advance, fee, advance + fee, rounded(part.list * share, CHARGED)
            real = tuple(Decimal(row[name]) for name in ("amortized_upfront", "recurring_fee", "effective_cost",
                                                         "public_on_demand_cost"))
            for name, mine, his in zip(("of the advance payment", "of the fee", "effective", "on demand"), ours, real):
                result.hold(mine == his, "%s %s %s by %s, resource %s: %s %s, really %s", *key, row["resource"], name,
                            mine, his)
            factors[key[2]] = Decimal(row["normalization_factor"])
    for sku, factor in sorted(factors.items()):
        mine = factor_of(reservations.machines[sku][1])
        result.hold(mine == factor, "%s: factor %s, really %s", sku, mine, factor)


def compare_reservations(result, reservations, covers):
    for one in reservations.items:
        used, unused, fee = Part(), covers.unused[one.id], covers.fees[one.id]
        for (who, sku), part in covers.used.items():
            if who == one.id:
                used.quantity += part.quantity * (
                    factor_of(reservations.machines[sku][1]) if one.is_flexible else 1)
                used.effective += part.effective
                used.recurring += part.recurring
        before = one.missing * one.recurring
        hours_unused = unused.quantity / one.weight - one.missing
        hours = used.quantity / one.weight + hours_unused
        row = one.row
        for name, mine, his in (
                ("hours", hours, one.fee_line.amount),
                ("hours", hours, row["total_reserved_units"]),
                ("units", hours * one.factor, row["total_reserved_normalized_units"]),
                ("fee", rounded(fee.charged, CHARGED), one.fee_line.cost),
                ("advance payment of the month",
                 rounded(used.effective - used.recurring + unused.effective - unused.recurring),
                 row["amortized_upfront_for_period"]),
                ("unused hours", hours_unused, row["unused_quantity"]),
                ("unused fee", rounded(unused.recurring - before), row["unused_recurring_fee"]),
                ("unused advance payment", rounded(unused.effective - unused.recurring),
                 row["unused_amortized_upfront"])):
            result.hold(mine == Decimal(his), "%s: %s %s, really %s", one.id, name, mine, his)


def print_reservations(reservations, covers, plain):
    print("reservations:")
    for one in reservations.items:
        print("  %-5s %s x %-10s %-9s %-17s %12s an hour, %6s in advance, %10s of %10s hours unused%s" % (
            one.id, one.count, one.family + "." + one.size, "flexible" if one.is_flexible else "exact",
            one.platform, plain(rounded(one.recurring, CHARGED)), plain(one.upfront),
            plain(covers.unused[one.id].quantity / one.weight - one.missing), plain(one.fee_line.amount),
            ";\n        covered the whole hour in which it was bought, charged for %s less" % plain(one.missing)
            if one.missing else ""))
    for pool in sorted({one.pool for one in reservations.items}):
        print_orders(reservations, pool)


def print_orders(reservations, pool):
    """Where there is a choice: the order of reservations, and of an account's sizes."""
    groups = [[name for name in group if reservations.by_id[name].pool == pool] for group in reservations.groups]
    groups = [group for group in groups if group]
    names = sum(groups, [])
    if len(names) > 1:
        rule = sorted(names, key=lambda name: reservations.by_id[name].rule)
        print("  of %s: %s, in this order (%s)" % (
            " ".join(pool), ", ".join(" and ".join(group) for group in groups),
            "found in the month; those with `and` take turns, and are compared together" if len(groups) < len(names) else
            "cheapest first, of equal ones the most" if rule == names else "found in the month"))
    sizes = [machine[1] for group in reservations.machine_groups for machine in group
             if (machine[0],) + machine[2:] == pool]
    if len(sizes) > 1:
        print("  of an account's %s: %s, in this order (%s)" % (
            " ".join(pool), ", ".join(sizes), "the smallest first" if sizes == sorted(sizes, key=factor_of) else
            "found in the month; the provider's pages say: the smallest first"))
