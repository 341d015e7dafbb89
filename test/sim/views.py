"""Worlds in which several sellers price the same usage.

A view is a contract of a buyer over accounts that others may pay for too.  The naive rater knows nothing of it: it bills another world, in
which these accounts are members of the buyer, and have neither plans nor overrides.  What stands on a view, by source, is worked out
from the lines of its source.  Then: the same bytes however the input is given, a late half of the lines as a difference, and sums: what
a seller receives its buyer pays, what is sold at cost has no margin, and margins add up to the difference of the ends."""
import collections
import copy
import urllib.parse

import times
import usage as usage_room
from exact import num, plain
from rater import Bill
from setting import Setup
from world import Raw

ZERO = num(0)


def fees_of(catalog):
    """Prices that are paid without usage, by whoever is an account."""
    owners = [catalog] + ([catalog["plans"][catalog["default_plan"]]] if "default_plan" in catalog else [])
    return any("fixed" in step for owner in owners for price in owner.get("prices", []) if isinstance(price, dict)
               for steps in [price["steps"], *price.get("components", {}).values()] for step in steps)


class Views:
    """The contracts of views of a world, and what is made of them."""

    def __init__(self, bench):
        self.bench, self.world, self.rng = bench, bench.world, bench.rng
        self.catalog = copy.deepcopy(self.world.catalog)
        self.catalog.pop("terms", None)  # of catalogs: they would be on every bill of a chain
        self.lists = []

    def seller(self, name, buyer, own, is_dated):
        """A price list over some accounts."""
        world, rng = self.world, self.rng
        listed = sorted(rng.sample(world.ids, rng.randrange(1, len(world.ids) + 1)))
        if own:
            buyer = rng.choice(listed)
        contract = {"id": name, "seller": "s-" + name, "buyer": buyer, "accounts": listed}
        skus = rng.sample(world.skus, rng.randrange(0, len(world.skus) + 1))
        contract["prices"] = [price for sku in skus for price in world.price(rng, sku, name + "-" + sku)]
        if rng.random() < 0.3:
            contract["prices"].append({"sku": world.fee_name(rng, "own-fee"), "name": "fee-" + name,
                                       "steps": [{"fixed": {"amount": Raw("7")}}]})
        if "plans" in self.catalog and rng.random() < 0.3:
            contract["plan"] = "pro"
        if rng.random() < 0.5:
            contract["terms"] = [{"discount": {"percent": Raw("12.5")}}, {"markup": {"percent": Raw("3")}}][:rng.randrange(1, 3)]
        if is_dated:
            at = world.moment(rng)
            contract[rng.choice(["from", "to"])] = world.date(at)
        elif rng.random() < 0.2 and not (own and fees_of(self.catalog)):  # the rater's buyer pays its fees before, too
            contract["from"] = world.date(world.period[0] - 40 * times.DAY)
        self.lists.append(contract)
        return contract

    # ---- the world in which a view's accounts belong to its buyer ----

    def members(self, contract):
        """The accounts below those that are listed, as the records have them."""
        found = list(contract["accounts"])
        for account in found:
            found += [m["account"] for m in self.world.all_memberships()
                      if m["organization"] == account and m["account"] not in found]
        return found

    def setup(self, contract):
        world, buyer = self.world, contract["buyer"]
        catalog = copy.deepcopy(self.catalog)
        catalog["contracts"] = [{k: v for k, v in contract.items() if k not in ("seller", "accounts")}]
        accounts = self.members(contract)
        records = [{k: v for k, v in record.items() if k in ("id", "since") or (record["id"] == buyer and k in ("currency", "settings"))}
                   for record in world.accounts if record["id"] in accounts or record["id"] == buyer]
        memberships = [m for m in world.all_memberships()
                       if m["account"] in accounts and m["account"] not in contract["accounts"] and m["account"] != buyer and
                       (m["organization"] in accounts or m["organization"] == buyer)]
        at = {key: times.form(self.bench.setup.date(contract[key], None)) for key in ("from", "to") if key in contract}
        memberships += [{"account": account, "organization": buyer, **at}
                        for account in contract["accounts"] if account != buyer]
        setup = Setup(catalog, records, memberships, [], world.period_text)
        if buyer not in accounts:
            setup.bare.add(buyer)
        return setup

    def rate(self, contract):
        """The rater's bills of the buyer, and its rows."""
        setup = self.setup(contract)
        rated = usage_room.Usage(setup, self.world.lines)
        bills, previous = [], None
        start = setup.date(contract.get("from"), times.MIN)
        for cut in setup.cuts(contract["buyer"]):
            rows = rated.rows.get((contract["buyer"], cut), [])
            previous = Bill(setup, contract["buyer"], cut, rows, previous)
            bills.append(previous)
        return setup, rated, bills, start


def of_contract(output, contract):
    bills = {bill["bill"] for bill in output.bills() if bill.get("contract") == contract["id"]}
    return [line for line in output.lines() if line["bill"] in bills]


def compare_list(bench, views, contract, output):
    """A price list against the rater: charges by account, SKU, price, step and kind, rows by their keys."""
    setup, rated, bills, _ = views.rate(contract)
    expected, got = collections.defaultdict(lambda: ZERO), collections.defaultdict(lambda: ZERO)
    for bill in bills:
        for (account, sku, price, step, kind, _, _), amount in bill.sums().items():
            # What is pooled has the first price of the catalog that pools it, and here are others.
            expected[(account, sku, price if sku else "", step, kind)] += amount
    for line in of_contract(output, contract):
        if line["kind"] != "rounding" or line["level"]:
            price = line["price"] if line["sku"] else ""
            got[(line["account"], line["sku"], price, line["step"], line["kind"])] += num(line["exact"])
    bench.equal("view %s: the rater and farthing" % contract["id"], expected, got)
    rows = collections.defaultdict(lambda: ZERO)
    for (payer, cut), found in rated.rows.items():
        for row in found if payer == contract["buyer"] else []:
            dims = ";".join("%s=%s" % pair for pair in row.dims if pair[1])
            rows[(row.account, row.meter, row.sku, row.resource, dims, row.slot, *(part.decode() for part in row.event))] += row.quantity
    have = collections.defaultdict(lambda: ZERO)
    for row in output.rows("usage.csv"):
        if row["contract"] == contract["id"]:
            key = (row["account"], row["meter"], row["sku"], row["resource"], row["dimensions"], times.parse_date(row["from"]))
            have[key + ((row["source"], row["id"]) if row["id"] else ())] += num(row["quantity"])
    bench.equal("usage of view %s" % contract["id"], {k: v for k, v in rows.items() if v}, {k: v for k, v in have.items() if v})
    return len(expected)


def nets(lines, accounts=None):
    """What is left of charges before tax, by account and SKU."""
    out = collections.defaultdict(lambda: ZERO)
    for line in lines:
        is_total = line["kind"] == "rounding" and not line["level"]
        if not is_total and line["kind"] != "tax" and (accounts is None or line["account"] in accounts):
            out[(line["account"], line["sku"])] += num(line["exact"])
    return {key: value for key, value in out.items() if value}


def chain(views, first):
    """Views on views: at cost, then with a markup or a rate, of some accounts or of all."""
    rng, buyer, out = views.rng, first["buyer"], []
    source = first
    billed_in = next((record["currency"] for record in views.world.accounts
                      if record["id"] == buyer and record.get("currency")), None)
    rates, now = {}, views.catalog["currency"]
    if "currencies" not in views.catalog and rng.random() < 0.4:  # links in several currencies, by whole numbers
        codes = [now] + [code for code in ("USD", "EUR", "KWD") if code != now][:2]
        rates = {(a, b): rng.randrange(2, 30) for a in codes for b in codes if a != b}
        views.catalog["currencies"] = {"rates": "between"}
        views.catalog.setdefault("tables", {})["between"] = {
            "keys": ["currency", "into"], "rows": [[a, b, rate] for (a, b), rate in rates.items()]}
    for depth in range(rng.randrange(1, 4)):
        kind = rng.choice(["cost", "markup", "discount", "rate"])
        contract = {"id": "%s-%d" % (first["id"], depth), "seller": buyer, "buyer": "shop-%s-%d" % (first["id"], depth),
                    "source": source["id"]}
        if billed_in:
            contract["currency"] = billed_in
        before = now
        if rates and rng.random() < 0.7:
            contract["currency"] = now = rng.choice(sorted({code for pair in rates for code in pair}))
        elif rates:
            contract["currency"] = now
        factor = {"cost": num(1), "markup": num("1.15"), "discount": num("0.8"), "rate": num("1.3")}[kind]
        if kind == "markup":
            contract["terms"] = [{"markup": {"percent": Raw("15")}}]
        elif kind == "discount":
            contract["terms"] = [{"discount": {"percent": Raw("20")}}]
        elif kind == "rate":
            contract["prices"] = [{"sku": sku, "steps": [{"rate": Raw("1.3")}]} for sku in views.world.skus]
        if rng.random() < 0.3:
            contract["accounts"] = sorted(rng.sample(first["accounts"], rng.randrange(1, len(first["accounts"]) + 1)))
            if "accounts" in source:
                contract["accounts"] = source["accounts"]
        out.append((contract, kind, factor, rates.get((before, now), 1)))
        source, buyer = contract, contract["buyer"]
    return out


def compare_chain(bench, views, first, made, output):
    lines = of_contract(output, first)
    for contract, kind, factor, rate in made:
        accounts = None
        if "accounts" in contract:
            accounts = set(views.members(dict(first, accounts=contract["accounts"])))
        before = nets(lines, accounts)
        expected = {key: value * rate * (factor if kind != "rate" or key[1] in views.world.skus else 1) for key, value in before.items()}
        lines = of_contract(output, contract)
        if kind == "cost":
            bench.equal("chain: %s of %s" % (kind, contract["id"]), expected, nets(lines))
        else:  # a product is quantized where it comes to more than 18 digits, charge by charge
            bench.equal("chain: %s of %s" % (kind, contract["id"]), expected, nets(lines), num("1e-12"))


def compare_sums(bench, views, contracts, output):
    """Check 6: a seller's receivable is its buyer's bill; margins add up to the difference of the ends."""
    totals, taxes = collections.defaultdict(lambda: ZERO), collections.defaultdict(lambda: ZERO)
    for bill in output.bills():
        if "contract" in bill:
            totals[bill["contract"]] += num(bill["total"])
    for line in output.lines():
        if line["kind"] == "tax":
            taxes[line["contract"]] += num(line["amount"])
    summary = output.summary
    receive, pay = collections.defaultdict(lambda: ZERO), collections.defaultdict(lambda: ZERO)
    for sale in summary["contracts"]:
        receive[(sale["seller"], sale["currency"])] += num(sale["amount"])
        pay[(sale["buyer"], sale["currency"])] += num(sale["amount"])
        if sale["contract"] in contracts:
            bench.expect(num(sale["amount"]) + num(sale["tax"]) == totals[sale["contract"]],
                         "contract %s comes to %s and %s of tax, its bills to %s", sale["contract"], sale["amount"],
                         sale["tax"], plain(totals[sale["contract"]]))
    sellers = {(margin["party"], margin["currency"]) for margin in summary["margins"]}
    names = {party for party, _ in receive}
    wanted = set(receive) | {buyer for buyer in pay if buyer[0] in names}
    bench.expect(sellers == wanted, "margins of %s, sellers are %s", sorted(sellers), sorted(wanted))
    for margin in summary["margins"]:
        party = (margin["party"], margin["currency"])
        bench.expect(num(margin["received"]) == receive[party] and num(margin["paid"]) == pay[party] and
                     num(margin["margin"]) == receive[party] - pay[party], "margin of %s: %s", party, margin)
    ends = sum((amount for buyer, amount in pay.items() if buyer not in sellers), ZERO)
    kept = sum((num(margin["margin"]) for margin in summary["margins"]), ZERO)  # of each currency, and so of all
    bench.expect(kept == ends, "margins add up to %s, the ends pay %s", plain(kept), plain(ends))


def law(bench):
    views = Views(bench)
    rng = bench.rng
    bare = not fees_of(views.catalog)
    first = views.seller("v", "dist-v", own=not bare or rng.random() < 0.3, is_dated=False)
    second = views.seller("w", "dist-w", own=False, is_dated=bare and rng.random() < 0.5) if rng.random() < 0.5 else None
    made = chain(views, first)
    contracts = [first] + [contract for contract, *_ in made] + ([second] if second else [])
    views.catalog["contracts"] = views.catalog.get("contracts", []) + contracts
    bench.world.fit_events(views.catalog)
    output = bench.bill("list", catalog=views.catalog)
    count = compare_list(bench, views, first, output)
    if second and bare:
        count += compare_list(bench, views, second, output)
    compare_chain(bench, views, first, made, output)
    compare_sums(bench, views, {contract["id"] for contract in contracts}, output)
    # What nobody but the records' payers have is as without views.
    taken = set()
    for contract in [first] + ([second] if second else []):
        taken |= set(views.members(contract))
    compare_rest(bench, views, taken, output)
    late(bench, views, output)
    return count > 0


def compare_rest(bench, views, taken, output):
    """Payers none of whose accounts is in a view are billed as without views."""
    catalog = copy.deepcopy(views.catalog)
    catalog["contracts"] = [c for c in catalog["contracts"] if "accounts" not in c and "source" not in c]
    if not catalog["contracts"]:
        del catalog["contracts"]
    alone = bench.bill("alone", catalog=catalog)
    payers = taken | {bench.setup.payer(account, at) for account in taken for at in views_instants(bench)}
    columns = ("bill", "line", "exact", "amount")
    before = {tuple(line[c] for c in columns) for line in alone.lines() if payer_of(line) not in payers}
    after = {tuple(line[c] for c in columns) for line in output.lines()
             if line["bill"].count("/") == 3 and payer_of(line) not in payers}
    if bench.setup.period == bench.world.period:
        bench.expect(before == after, "payers that no view has: %s then %s", sorted(before - after)[:3], sorted(after - before)[:3])


def views_instants(bench):
    start, end = bench.world.period
    step = max(times.HOUR, (end - start) // 200)
    return [*range(start - 40 * times.DAY, end + 100 * times.DAY, step), end]


def payer_of(line):
    return urllib.parse.unquote(line["bill"].split("/")[1])


def late(bench, views, output):
    """Half of the lines first, the rest as a difference."""
    lines = views.world.lines
    half = [line for i, line in enumerate(lines) if i % 2 == 0]
    closed = bench.bill("half", catalog=views.catalog, lines=half)
    try:
        more = bench.bill("rest", catalog=views.catalog, options=["--billed", closed.folder])
    except bench.mismatch as why:
        if "reaches beyond" in str(why):
            return
        raise
    sums, fresh = {}, {}
    for into, outputs in ((sums, (closed, more)), (fresh, (output,))):
        for one in outputs:
            for line in one.lines():
                key = (line["bill"], line["line"])
                found = into.setdefault(key, [ZERO] * 4)
                for i, column in enumerate(("quantity", "exact", "amount", "events")):
                    found[i] += num(line[column] or "0")
    for into in (sums, fresh):
        for key in [key for key, values in into.items() if not any(values)]:
            del into[key]
    bench.expect(sums == fresh, "closed and late lines: %s",
                 [(key, sums.get(key), fresh.get(key)) for key in sorted(set(sums) | set(fresh)) if sums.get(key) != fresh.get(key)][:2])
