"""The price list that a report's rates say, as a catalog.

- A SKU is a usage type and an operation.  Its price is the rate on its lines; when that changes in the month, the
  price has versions.
- Lines that were free under a free tier belong to its pool: an allowance that all SKUs of the pool, and all accounts,
  meet in.  Rates with one description are of one pool, whatever their region; a SKU is in a pool when the provider's
  own code of the thing sold (`sku`) stands on one of the pool's free rates.  What is left beyond the pool is paid at
  the rate on paid lines, or at the public one when nothing was paid.
- Spot usage has no rate in the report.  It has one price for a usage type, zone (the operation) and hour: the shortest
  decimal that explains the cost of all lines of that hour.
"""
import os
import re
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, getcontext

getcontext().prec = 80

# What the free tiers give in a month, where the rate's description does not say it (from the provider's public pages).
SIZES = [
    (r"General Purpose \(SSD\) provisioned storage", 30),
    (r"t2\.micro instance-hour", 750),
    (r"regional data transfer", 1),
    (r"data transfer out", 15),
    (r"PUT, COPY, POST, or LIST requests", 2000),
    (r"GET and all other requests", 20000),
    (r"per GB - storage under", 5),
    (r"KMS requests", 20000),
    (r"Glue Data Catalog (requests|storage)", 1000000),
    (r"QuickSight Standard Edition User", 1),
]
# "First 5GB per month", "for 62 Budget-days", "first 10 metrics"
SAID = re.compile(r"(?:first|for) ([\d,]+)", re.IGNORECASE)
PRICES_PER_FILE = 4000
TENTH_DIGIT = Decimal("1e-10")


def plain(number):
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def hour_start(hour):
    return datetime.strptime(hour, "%Y-%m-%d %H")


def written(time):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


class Pool:
    def __init__(self, name, description):
        self.name, self.description = name, description
        self.codes, self.skus, self.free, self.paid_lines = set(), set(), Decimal(0), 0
        self.source = "its description"
        said = SAID.search(description)
        if said:
            self.size = Decimal(said.group(1).replace(",", ""))
            return
        self.source = "the public page"
        self.size = next((Decimal(size) for what, size in SIZES if re.search(what, description)), None)

    @property
    def title(self):
        return re.sub(r"^\$0(\.0+)? (per|for) ", "", self.description)

    @property
    def is_filled(self):
        return self.paid_lines > 0


def find_pools(report):
    """The pools by name, and of each SKU its pool."""
    pools, by_code = {}, {}
    for line in report.lines:
        if line.is_free:
            description = line.rate["description"]
            name = re.sub(r"[^a-z0-9]+", "-", description.lower()).strip("-")[:100]
            pool = pools.setdefault(name, Pool(name, description))
            pool.free += line.amount
            pool.codes.add(line.rate["sku"])
            by_code[line.rate["sku"]] = pool
    pool_of = {}
    for line in report.lines:
        pool = by_code.get(line.rate["sku"])
        if pool:
            pool_of[line.sku] = pool
            pool.skus.add(line.sku)
    for line in report.lines:
        if line.sku in pool_of and not line.is_free:
            pool_of[line.sku].paid_lines += 1
    for pool in pools.values():
        if pool.size is None:  # nothing says it: as much as was free, or all when nothing was paid
            pool.source = "the lines themselves"
            pool.size = pool.free if pool.is_filled else None
    return pools, pool_of


def shortest_between(low, high):
    """The decimal of fewest digits in [low, high)."""
    for digits in range(0, 19):
        unit = Decimal(1).scaleb(-digits)
        candidate = ((low + high) / 2).quantize(unit, ROUND_HALF_UP)
        if low <= candidate < high:
            return candidate
    return None


def spot_price(lines):
    """The price that explains the costs of an hour, and whether one does."""
    used = [line for line in lines if line.amount]
    if not used:
        return Decimal(0), True
    half = TENTH_DIGIT / 2
    price = shortest_between(max((line.cost - half) / line.amount for line in used),
                             min((line.cost + half) / line.amount for line in used))
    return (price, True) if price is not None else (
        (used[0].cost / used[0].amount).quantize(Decimal("1e-18")), False)


def rate_versions(rates_by_hour):
    """[(from, to, rate)] of {hour: rate}: a version begins in the hour in which the rate first differs."""
    versions = []
    for hour in sorted(rates_by_hour):
        if versions and versions[-1][2] == rates_by_hour[hour]:
            continue
        if versions:
            versions[-1][1] = hour
        versions.append([None if not versions else hour, None, rates_by_hour[hour]])
    return versions


class PriceList:
    def __init__(self, report, reservations):
        self.pools, self.pool_of = find_pools(report)
        self.reservations = reservations
        self.complaints, self.spot_lines, self.spot_hours, self.prices, self.products = [], 0, 0, {}, defaultdict(set)
        lines_of = defaultdict(list)
        for line in report.lines:
            lines_of[line.sku].append(line)
            self.products[line.product].add(line.sku)
        for sku, lines in lines_of.items():
            self.prices[sku] = self.price(sku, lines)
        for line in report.covered_lines:  # what reservations paid in whole has the public rate
            self.products[line.product].add(line.sku)
            if line.sku not in self.prices:
                self.prices[line.sku] = [[None, None, Decimal(line.rate["public_on_demand_rate"])]]

    def price(self, sku, lines):
        paid = defaultdict(list)
        for line in lines:
            if not line.is_free:
                paid[line.hour].append(line)
        if not paid:  # all of it was free: the rest would cost the public rate
            public = {line.rate["public_on_demand_rate"] for line in lines} - {""}
            return [[None, None, Decimal(min(public)) if public else Decimal(0)]]
        by_hour = {}
        for hour, group in paid.items():
            rates = {line.unit_rate for line in group}
            if None in rates:
                by_hour[hour], is_one = spot_price(group)
                self.spot_lines += len(group)
                self.spot_hours += 1
            else:
                by_hour[hour], is_one = min(rates), len(rates) == 1
            if not is_one:
                self.complaints.append("%s in hour %s: no one price explains its lines" % (sku, hour))
        return rate_versions(by_hour)

    def write(self, folder, accounts, with_upfront):
        """The catalog's files: prices apart, since a file has at most 1 MB."""
        with open(os.path.join(folder, "catalog.yaml"), "w", encoding="utf-8") as file:
            self.write_head(file, accounts, with_upfront)
        prices = [(sku, version) for sku in sorted(self.prices) for version in self.prices[sku]]
        for first in range(0, len(prices), PRICES_PER_FILE):
            with open(os.path.join(folder, "prices%d.yaml" % first), "w", encoding="utf-8") as file:
                file.write("prices:\n")
                for sku, (since, until, rate) in prices[first:first + PRICES_PER_FILE]:
                    pool = self.pool_of.get(sku)
                    dates = "".join(", %s: %s" % (key, quoted(written(hour_start(hour))))
                                    for key, hour in (("from", since), ("to", until)) if hour)
                    uses = ["reservations"] if sku in self.reservations.machines else []
                    uses += [pool.name] if pool else []
                    file.write("  - {sku: %s, grain: hour%s, steps: [%srate: %s]}\n" % (
                        quoted(sku), dates, "".join("use: %s, " % use for use in uses), plain(rate)))

    def write_head(self, file, accounts, with_upfront):
        out = lambda text, *values: print(text % values, file=file)
        out("catalog: real\ncurrency: USD\nproducts:")
        for product in sorted(self.products):
            out("  %s:\n    skus:", quoted(product))
            for sku in sorted(self.products[product]):
                out("      %s:%s", quoted(sku), self.reservations.attributes(sku))
        out("meters:\n  usage:\n    value: data.amount\n    resource: data.resource")
        out("    sku: 'data.usage_type + \"/\" + data.operation'")
        out("steps:")
        for pool in sorted(self.pools.values(), key=lambda pool: pool.name):
            size = plain(pool.size) if pool.size is not None else "1000000000000"
            out("  %s:  # %s", pool.name, pool.description)
            out("    allowance: {quantity: %s, scope: organization, emit: free}", size)
        if self.reservations.items:
            self.reservations.write_step(out)
            self.reservations.write(out, with_upfront)
        out("accounts:\n  - {id: payer, children: [%s]}", ", ".join(map(quoted, accounts)))


def month_of(month):
    start = datetime.strptime(month, "%Y-%m")
    return start, (start + timedelta(days=32)).replace(day=1)
