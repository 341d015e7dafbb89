"""What reservations are, and what they did, as a report says it.

    ri_fees_MONTH.csv    id, ..., reservation, ..., amortized_upfront_for_period, unused_amortized_upfront,
                         unused_quantity, unused_recurring_fee, ...; id is that of the fee's line in usage_MONTH.csv
    ri_usage_MONTH.csv   id, ..., start_hour, ..., reservation, usage_amount, normalization_factor, ...,
                         public_on_demand_cost, amortized_upfront, recurring_fee, effective_cost

A reservation's fee line says its size, region, platform and hours: so how many there are of it, what one costs an hour,
and since when.  Those of Linux are flexible (the provider's rule), and such as paid for another size in the month: they
pay for other sizes of their family by the factors of both; the others cover their own size alone.  Nothing says when
one was bought that was there before the month: a term around the month is assumed, the shortest for which an advance
payment in whole cents comes to what is amortized.  One that was bought in the month covers the whole hour of that instant, but is charged, and counted
as unused, from the instant on: what the hour costs before is taken back by a discount.

Two orders are on no document, and are found in what was covered in the month (Order): which size of an account's
usage goes first, and which reservation.  Where nothing in the month tells, the smaller size goes first, and the
reservation that costs less for its units, of equal ones that of which there are more."""
import math
import re
from collections import defaultdict
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from price_list import hour_start, plain, quoted, written

KIND = re.compile(r"(?:[A-Z0-9]+-)?(BoxUsage|InstanceUsage|HeavyUsage):((?:db\.)?[a-z0-9-]+)\.([a-z0-9-]+)$")
SMALL = {"nano": Decimal("0.25"), "micro": Decimal("0.5"), "small": Decimal(1), "medium": Decimal(2),
         "large": Decimal(4), "xlarge": Decimal(8)}
TERMS_DAYS = (365, 3 * 365, 366, 3 * 365 + 1)
FLEXIBLE = {"RunInstances"}  # the operation of Linux on shared hardware


def factor_of(size):
    if size in SMALL:
        return SMALL[size]
    many = re.match(r"(\d+)xlarge$", size)
    return Decimal(8) * int(many.group(1)) if many else None


def machine_of(line, is_fee=False):
    """(family, size, region, platform) of the hours of a machine, or of what reserves it, else None."""
    kind = KIND.match(line.usage_type)
    if not kind or factor_of(kind.group(3)) is None or (kind.group(1) == "HeavyUsage") != is_fee:
        return None
    return kind.group(2), kind.group(3), line.rate["region"], line.operation


def before_name(name):
    """The term that takes back what an hour costs before the second in which a reservation was bought."""
    return "before-" + name


def divided(a, b):
    return (a / b).quantize(Decimal("1e-18"))


class Reservation:
    def __init__(self, row, fee_line, start, end, factors):
        self.id, self.account = row["reservation"], row["account"]
        self.row, self.fee_line = row, fee_line
        machine = machine_of(fee_line, is_fee=True)
        if machine is None:
            raise SystemExit("%s: %s reserves what is not known here" % (self.id, fee_line.usage_type))
        self.family, self.size, self.region, self.platform = machine
        self.factor = factor_of(self.size)
        self.is_flexible = self.platform in FLEXIBLE or bool(factors - {self.factor})
        hours = fee_line.amount
        begin = hour_start(fee_line.hour)
        turns = int((end - begin).total_seconds()) // 3600
        self.count = math.ceil(hours / turns)
        self.missing = self.count * turns - hours  # of the hour in which it was bought, before that
        self.recurring = divided(fee_line.cost, hours)
        self.upfront, self.term_hours = self.find_upfront(Decimal(row["amortized_upfront_for_period"]), hours)
        self.first = start - timedelta(days=30) if begin == start else begin
        self.until = self.first + timedelta(hours=self.term_hours)
        if begin == start and self.missing:  # it was there before, and ended
            self.missing = Decimal(0)
            self.until = begin + timedelta(hours=float(hours / self.count))
            self.first = self.until - timedelta(hours=self.term_hours)
        self.place = 0

    @staticmethod
    def find_upfront(amortized, hours):
        """The payment to the cent, and the shortest term, that come to what is amortized of it in so many hours."""
        for days in TERMS_DAYS:
            upfront = (amortized / hours * days * 24).quantize(Decimal("0.01"), ROUND_HALF_UP)
            if (upfront * hours / (days * 24)).quantize(Decimal("1e-8"), ROUND_HALF_UP) == amortized:
                return upfront, days * 24
        raise SystemExit("no payment in advance comes to %s in %s hours" % (amortized, hours))

    @property
    def weight(self):
        """Units of capacity that an hour of its size takes."""
        return self.factor if self.is_flexible else Decimal(1)

    @property
    def pool(self):
        """What it covers: reservations of one pool compete."""
        return (self.family, self.region, self.platform) + (() if self.is_flexible else (self.size,))

    @property
    def rule(self):
        cost = self.recurring + divided(self.upfront, Decimal(self.term_hours))
        return (cost / self.weight).quantize(Decimal("1e-10")), -self.count, self.id


class Order:
    """An order of names that facts "a goes before b" explain; names that go before one another are one group."""

    def __init__(self, names, rule):
        self.names, self.rule, self.before = list(names), rule, defaultdict(set)

    def learn(self, a, b):
        if a != b:
            self.before[b].add(a)

    def groups(self):
        behind = {name: self.all_before(name) for name in self.names}
        groups, left = [], sorted(self.names, key=self.rule)
        while left:
            # The first by the rule of those that wait for nobody but such as wait for them too.
            first = next(name for name in left if all(name in behind[other] for other in behind[name] if other in left))
            group = [name for name in left if name == first or (name in behind[first] and first in behind[name])]
            groups.append(group)
            left = [name for name in left if name not in group]
        return groups

    def all_before(self, name):
        found, open_names = set(), [name]
        while open_names:
            for other in self.before[open_names.pop()]:
                if other not in found:
                    found.add(other)
                    open_names.append(other)
        return found & set(self.names)


class Reservations:
    def __init__(self, report, start, end):
        lines = {line.id: line for line in report.fee_lines}
        if set(lines) != {row["id"] for row in report.fee_rows}:
            raise SystemExit("ri_fees_%s.csv has other fees than the report" % report.month)
        self.rows, factors = report.cover_rows, defaultdict(set)
        for row in self.rows:
            factors[row["reservation"]].add(Decimal(row["normalization_factor"]))
        self.items = [Reservation(row, lines[row["id"]], start, end, factors[row["reservation"]])
                      for row in report.fee_rows]
        self.by_id = {one.id: one for one in self.items}
        self.machines = {}  # of each SKU that a reservation may cover: family, size, region, platform
        for line in report.lines + report.covered_lines:
            machine = machine_of(line)
            if machine:
                self.machines[line.sku] = machine
        for line in report.covered_lines:
            if line.sku not in self.machines:
                raise SystemExit("%s was reserved, and is not known here" % line.sku)
        self.find_orders(report)
        self.group_of = {one: group[0] for group in self.groups for one in group}

    def find_orders(self, report):
        """What was covered while what else was not; who was used up while who was not."""
        used, covered = defaultdict(Decimal), defaultdict(Decimal)  # by hour, account, machine (and reservation)
        for line in report.lines + report.covered_lines:
            if line.sku in self.machines:
                used[line.hour, line.account, self.machines[line.sku]] += line.amount
        for row in self.rows:
            machine = self.machines[report.covered_by[row["id"], row["start_hour"]].sku]
            covered[row["start_hour"], row["account"], machine, row["reservation"]] += Decimal(row["usage_amount"])
        of_hour = defaultdict(lambda: (defaultdict(Decimal), defaultdict(dict)))
        for (hour, account, machine), amount in used.items():
            of_hour[hour][0][account, machine] += amount
        for (hour, account, machine, who), amount in covered.items():
            of_hour[hour][1][account, machine][who] = amount
        sizes = Order(sorted(set(self.machines.values())), lambda machine: (factor_of(machine[1]), machine))
        ranks = Order(self.by_id, lambda name: self.by_id[name].rule)
        pools = sorted({one.pool for one in self.items})
        for learn in (self.learn_sizes, self.learn_ranks):
            for hour in sorted(of_hour):
                for pool in pools:
                    learn(pool, *of_hour[hour], sizes, ranks)
        self.groups, self.machine_groups = ranks.groups(), sizes.groups()
        for place, group in enumerate(self.groups):
            for one in group:
                self.by_id[one].place = place
        self.size_place = {machine: place for place, group in enumerate(self.machine_groups) for machine in group}

    @staticmethod
    def of_pool(pool, used):
        return {key: amount for key, amount in used.items()
                if (key[1][0],) + key[1][2:] == pool[:3] and pool[3:] in ((), (key[1][1],))}

    def learn_sizes(self, pool, used, covered, sizes, _):
        """What was covered goes before what, of the same account, was not."""
        mine = self.of_pool(pool, used)
        taken = {key: sum(covered[key].values()) if key in covered else 0 for key in mine}
        for account, machine in mine:
            for other, rest in mine:
                if account == other and taken[account, machine] > 0 and taken[other, rest] < mine[other, rest]:
                    sizes.learn(machine, rest)

    def learn_ranks(self, pool, used, covered, sizes, ranks):
        """Who covered something goes before who had units left for it, and who took of a size that goes first before
        who took only of what goes later."""
        members = [one for one in self.items if one.pool == pool]
        mine = self.of_pool(pool, used)
        left = {one.id: one.count * one.weight for one in members}
        for own in (True, False):
            took, sizes_of = {one.id: Decimal(0) for one in members}, defaultdict(set)
            for key in mine:
                for one in members:
                    amount = covered[key].get(one.id, 0) if key in covered and (key[0] == one.account) == own else 0
                    if amount:
                        took[one.id] += amount * (factor_of(key[1][1]) if one.is_flexible else 1)
                        sizes_of[one.id].add(key[1])
            for a in members:
                for b in members:
                    if a.account != b.account or not took[a.id]:
                        continue
                    x, y = sizes_of[a.id], sizes_of[b.id]
                    if took[b.id] < left[b.id] or (y and x > y and all(
                            one in sizes.all_before(two) for one in x - y for two in y)):
                        ranks.learn(a.id, b.id)
            for one in members:
                left[one.id] -= took[one.id]

    # ---- the catalog -------------------------------------------------------------------------------

    def may_cover(self, sku):
        machine = self.machines.get(sku)
        return machine is not None and any(
            (machine[0],) + machine[2:] == one.pool[:3] and one.pool[3:] in ((), (machine[1],)) for one in self.items)

    def attributes(self, sku):
        if sku not in self.machines:
            return ""
        family, size, region, platform = self.machines[sku]
        return " {attributes: {family: %s, size: %s, region: %s, platform: %s, factor: %s, size_place: %d}}" % (
            quoted(family), quoted(size), quoted(region), quoted(platform), factor_of(size), self.size_place[self.machines[sku]])

    def write(self, out, with_upfront):
        same = " && ".join("attributes.%s == commitment.%s" % (name, name) for name in ("family", "region", "platform"))
        out("commitments:")
        out("  flexible: {capacity: commitment.count * commitment.factor, weight: attributes.factor, eligible: '%s'}", same)
        out("  exact: {capacity: commitment.count, eligible: '%s && attributes.size == commitment.size'}", same)
        self.contract(out, with_upfront)

    def contract(self, out, with_upfront):
        out("contracts:\n  - buyer: payer\n    commitments:")
        for one in self.items:
            out("      - {id: %s, offering: %s, account: %s, from: %s, to: %s, count: %d, recurring: %s,%s",
                one.id, "flexible" if one.is_flexible else "exact", quoted(one.account), quoted(written(one.first)),
                quoted(written(one.until)), one.count, plain(one.recurring),
                " upfront: %s," % plain(one.upfront) if with_upfront and one.upfront else "")
            out("         family: %s, size: %s, region: %s, platform: %s, factor: %s, place: %d}", quoted(one.family),
                quoted(one.size), quoted(one.region), quoted(one.platform), one.factor, one.place)
        late = [one for one in self.items if one.missing]
        if late:  # it covers the whole hour in which it was bought, but is charged from the second on
            out("    terms:")
        for one in late:
            out("      - discount: {name: %s, quantity: %s, where: '%s'}", before_name(one.id), plain(one.missing),
                'kind == "commitment" && time == timestamp("%s") && rate == %s' % (
                    written(one.first), plain(one.recurring)))

    @staticmethod
    def write_step(out):
        out("  reservations:\n    cover:\n      passes:")
        for whose in ("own", "shared"):
            for offering in ("exact", "flexible"):
                out("        - {offering: %s, for: %s, rank: place, order: [attributes.size_place, resource]}",
                    offering, whose)
