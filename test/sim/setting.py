"""What a catalog and records say at an instant: who pays, which contract, which price."""
import copy
import bisect
import datetime
import functools
import re
from collections import defaultdict
from fractions import Fraction

import expressions
import times
from credits import Grant
from exact import num, plain

SHORT = {"rate": "rate", "tier": "tiers", "allowance": "quantity", "fixed": "amount", "round": "digits",
         "percent": "rate", "formula": "amount", "discount": "percent", "markup": "percent", "fee": "percent",
         "tax": "percent", "commit": "amount"}


def plain_text(value):
    """A key of a table as text."""
    return plain(value) if isinstance(value, Fraction) else str(value)


class Kind:
    """What rows of usage have in common, and, at an instant, as much of a row as its price asks."""

    def __init__(self, account, sku, dims, time=None):
        self.account, self.sku, self.dims, self.time = account, sku, dims, time

    def at(self, time):
        return Kind(self.account, self.sku, self.dims, time)


class Step:
    term, start, end = False, times.MIN, times.MAX

    def __init__(self, body, node, shared):
        (self.kind, body), = body.items()
        if not isinstance(body, dict):
            body = {SHORT[self.kind]: body}
        self.body, self.shared = body, shared
        self.name = body.get("name", self.kind) if shared is None else shared
        self.node = node + (self.name,)
        self.scope = body.get("scope", {"commit": "contract", "tax": "organization"}.get(self.kind, "account"))
        self.clock = body.get("clock", {"convert": "row", "cover": "hour"}.get(self.kind, "period"))
        self.by = body.get("by", [])
        self.unit = None  # into which its version has converted what it adds up

    def by_contract(self, setup):
        return self.clock == "contract_year" or setup.catalog.get("clocks", {}).get(
            self.clock, {}).get("anchor") == "contract"

    def adds_units(self, rated):
        """What adds up money is one bucket, in whatever unit its version counts."""
        return self.kind in ("convert", "aggregate", "allowance", "tier") or (self.kind == "credit" and not rated) or (
            self.kind in ("discount", "markup", "commit") and "quantity" in self.body)

    def asks_customer(self):
        """What it asks of the customer of each row: numbers of a bucket ask that of its first row."""
        if self.body.get("settings_at", "row") != "row":
            return []
        return re.findall(r"customer\.([\w.]+)", self.asked_alone())

    def asked_alone(self):
        """What is asked for each row or charge."""
        body = self.body
        alone = "amount" not in body.get("limit", {}) and body.get("attribute", "in_order") == "in_order"
        each = ["where", "measure", "order"] + {
            "convert": ["quantity"], "tier": ["position"], "rate": list(body), "percent": list(body), "formula": list(body),
            "tax": list(body), "credit": list(body), "allocate": list(body),
            "discount": ["percent"] * alone, "markup": ["percent"] * alone}.get(self.kind, [])
        return str([body.get(key) for key in each])

    def asks_tables(self):
        return re.findall(r'lookup\("(\w+)"', self.asked_alone())

    def asks_series(self):
        return re.findall(r'series\("(\w+)"', self.asked_alone())

    def asks_contract(self, setup):
        return self.scope == "contract" or self.by_contract(setup) or "contract." in str(
            self.body) or (self.node[0].startswith("contract/") and self.kind != "fixed"
                           and self.body.get("prorate", "none") != "none")


class Term(Step):
    """A step on the charges of a plan, a contract or all; its own charges have a price without a name."""
    term = True

    def __init__(self, body, level):
        super().__init__(body, ("term", level), None)
        self.level, self.price = level, TermPrice(level)


class TermPrice:
    name, skus, steps, start, end, hourly, by_event = "", [], (), times.MIN, times.MAX, False, False
    currency = None

    def __init__(self, level):
        self.level = level


class Price:
    def __init__(self, setup, record, level, currency=None):
        skus = record["sku"]
        self.whole = self  # of a component, the price whose lines it has
        self.skus = None if skus == "*" else [skus] if isinstance(skus, str) else skus
        self.name = record.get("name", str(skus))
        self.level, self.public, self.setup_attributes = level, record.get("public", True), setup.attributes
        self.list_rate = num(record["list"]) if "list" in record else None
        self.currency = record.get("currency") or currency or setup.catalog.get("currency", "USD")
        self.where = {name: values if isinstance(values, list) else [values]
                      for name, values in record.get("where", {}).items()}
        self.start = setup.date(record.get("from"), times.MIN)
        self.end = setup.date(record.get("to"), times.MAX)
        self.hourly, self.by_event = record.get("grain") in ("hour", "event"), record.get("grain") == "event"
        behind = self.read(setup, record.get("steps", []))
        lists = [self.read(setup, steps, name) for name, steps in sorted(record.get("components", {}).items())]
        self.steps = [step for steps in lists for step in steps] + behind
        self.fixed = all(steps[0].kind == "fixed" for steps in lists or [behind])
        self.is_tariff = bool(lists)
        self.parts = [self.part(steps + behind) for steps in lists]  # each has all rows
        self.has_fixed = self.fixed or any(part.fixed for part in self.parts)
        # Versions that say the same change nothing, but for those that restart.
        said = {key: value for key, value in record.items()
                if key not in ("from", "to", "name", "public")}
        restarts = any(step.body.get("on_change") == "restart" for step in self.steps)
        self.content = (self.name, level.split("/")[0] == "override", str(sorted(said.items())),
                        record.get("from") if restarts else None)

    def read(self, setup, steps, component=None):
        out, unit, rated = [], None, False
        for step in steps:
            if "use" in step:
                out.append(Step(setup.catalog["steps"][step["use"]], ("shared",), step["use"]))
                unit = out[-1].body.get("to", unit) if out[-1].kind == "convert" else unit
                continue
            (kind, body), = step.items()
            if component and not (isinstance(body, dict) and "name" in body):
                body = body if isinstance(body, dict) else {SHORT[kind]: body}
                rates = kind in ("rate", "tier", "percent", "formula", "fixed")
                step = {kind: dict(body, name=component if rates else component + "/" + kind)}
            out.append(Step(step, (self.level, self.name), None))
            rated = rated or out[-1].kind in ("rate", "tier", "percent", "formula", "fixed")
            out[-1].unit = unit if out[-1].adds_units(rated) else None
            unit = out[-1].body.get("to", unit) if out[-1].kind == "convert" else unit
        return out

    def part(self, steps):
        """The price with the steps of one component, and those behind all."""
        part = copy.copy(self)
        part.steps, part.parts, part.fixed = steps, [], steps[0].kind == "fixed"
        return part

    def asks_contract(self, setup):
        if any(step.asks_contract(setup) for step in self.steps if step.kind != "fixed"):
            return True
        return not self.level.startswith("override") and any(  # who asks for its usage does
            (step.scope == "contract" or step.by_contract(setup)) and sku in setup.asked_skus(step)
            for price in setup.all_prices() for step in price.steps for sku in self.skus or ["s0"])

    def passes(self, node, like=None):
        """Whether a step of the price is at that node (and waits for the turn's end, as like does)."""
        return any(step.node == node and (like is None or step.kind != "bound" or
                                          ("min" in step.body) == ("min" in like.body))
                   for step in self.steps)

    def is_like(self, other):
        return self.name == other.name or bool(self.skus and other.skus and self.skus[0] == other.skus[0])

    def replaces(self, other):
        """Of a narrower level: a fixed price another one, any price a tariff."""
        return (self.has_fixed or other.is_tariff) and self.is_like(other)

    def rank(self, row):
        """How closely it fits a row: None when not at all."""
        if self.fixed or not self.start <= row.time < self.end:
            return None
        if self.skus is not None and row.sku not in self.skus:
            return None
        dims = dict(row.dims)
        of_sku = self.setup_attributes.get(row.sku, {})
        if any(dims.get(name, str(of_sku.get(name, ""))) not in values for name, values in self.where.items()):
            return None
        return (self.skus is not None, len(self.where))


class Fee:
    """A fixed price in force for an account: of its own level or its contract's, paid by holder."""

    def __init__(self, kind, price, contract, holder):
        self.kind, self.price, self.contract, self.holder = kind, price, contract, holder
        self.step = price.steps[0]
        self.key = (kind, id(price), contract and contract["id"], holder)

    def __eq__(self, other):
        return self.key == other.key

    def __hash__(self):
        return hash(self.key)

    def stands_for(self, other):
        """Whether it is what another one is in its price; of tariffs, the component of its name."""
        return self.price.is_like(other.price) and (not self.price.is_tariff or self.step.name == other.step.name)


def merged(memberships):
    """What touches or overlaps of one organization is one membership; one without dates gives way to dated ones."""
    out = []
    for member in sorted(set(memberships)):
        if member[:2] == (times.MIN, times.MAX) and any(
                other[2] == member[2] and other != member for other in memberships):
            continue
        if out and out[-1][2] == member[2] and member[0] <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], member[1]), member[2])
        else:
            out.append(member)
    return out


class Setup:
    def __init__(self, catalog, accounts=(), memberships=(), overrides=(), period="2026-10", commitments=()):
        import profiles  # which knows this module
        self.catalog = catalog = profiles.spelled_out(catalog)
        self.zone = catalog.get("billing", {}).get("zone")
        self.records = {record["id"]: record for record in accounts}
        self.accounts, self.bare = set(self.records), set()  # bare: they pay for others, and have no usage of their own
        self.known_paid, self.wallets = {}, {}  # wallets: of accounts that take them along, by step
        self.members = defaultdict(list)  # account: [(from, to, organization)]
        for m in memberships:
            self.accounts |= {m["account"], m["organization"]}
            self.members[m["account"]].append((
                times.parse_date(m["from"]) if m.get("from") else times.MIN,
                times.parse_date(m["to"]) if m.get("to") else times.MAX, m["organization"]))
        for account in self.members:
            self.members[account] = merged(self.members[account])
        self.contracts = defaultdict(list)
        for contract in catalog.get("contracts", []):
            self.accounts.add(contract["buyer"])
            self.contracts[contract["buyer"]].append((
                self.date(contract.get("from"), times.MIN), self.date(contract.get("to"), times.MAX),
                contract))
        self.read_products()
        self.public = [Price(self, p, "catalog") for p in catalog.get("prices", [])]
        self.plans = {name: self.level_prices(plan, "plan/" + name)
                      for name, plan in catalog.get("plans", {}).items()}
        self.own = {c["id"]: self.level_prices(c, "contract/" + c["id"])
                    for c in catalog.get("contracts", [])}
        self.terms, self.commitments = self.read_terms(), list(commitments)
        for c in catalog.get("contracts", []):
            self.commitments += [dict({"account": c["buyer"]}, **record) for record in c.get("commitments", [])]
        self.settings = {record["id"]: self.read_settings(record) for record in accounts}
        self.overrides = self.read_overrides(overrides)
        self.dimension_names = {name for meter in catalog.get("meters", {}).values()
                                for name in meter.get("dimensions", {})}
        self.known_cuts, self.known_stretches, self.known_billings = {}, {}, {}
        self.known_changes, self.known_asking = {}, {}
        self.name_skus()
        self.read_edges()
        self.period = times.parse_period(period, self.zone)

    def currency(self, payer, cut):
        """What a payer is billed in: as a contract of its own says that holds in the time of the bill, else as the account does."""
        for start, end, contract in self.contracts[payer]:
            if start < cut[1] and cut[0] < end and contract.get("currency"):
                return contract["currency"]
        return self.records.get(payer, {}).get("currency") or self.catalog.get("currency", "USD")

    def rate(self, price, into, row, payer, cut):
        """How many of a bill's currency one of a price's is."""
        rules, turn = self.catalog["currencies"], self.billed(payer, cut[0])[0]
        at = {"row": row.time, "turn_start": turn[0], "turn_end": turn[1] - 1, "invoice": cut[1]}[
            rules.get("settings_at", "turn_end")]
        rows = [row for row in self.catalog["tables"][rules["rates"]]["rows"]
                if row[:2] == [price, into] and self.date(row[3], times.MIN) <= at]
        return num(max(rows, key=lambda row: self.date(row[3], times.MIN))[2])

    def asked(self, path, time):
        """What lookup() or series() says at an instant."""
        kind, name, *keys = path
        if kind == "lookup":
            return self.listed(name, keys, time)
        points = [(self.date(point[0], None), point[-1]) for point in self.catalog["series"][name]["points"]
                  if list(map(plain_text, point[1:-1])) == list(map(plain_text, keys))]
        found = [point for point in points if point[0] <= time]
        if not found:
            raise expressions.Failure("EXPRESSION")
        return num(max(found, key=lambda point: point[0])[1])

    def listed(self, table, values, time):
        """The value of a table's line; of several that are dated, the one that holds."""
        record, found = self.catalog["tables"][table], []
        for line in record["rows"]:
            keys, value, start = line[:len(values)], line[len(values)], line[len(values) + 1:]
            start = self.date(start[0], times.MIN) if start else times.MIN
            if list(map(plain_text, keys)) == list(map(plain_text, values)) and start <= time:
                found.append((start, value))
        if not found:
            raise expressions.Failure("EXPRESSION")
        return num(max(found, key=lambda item: item[0])[1])

    def sharing(self, account, payer, at):
        """(how, group) of an account on a payer's bill: what it says, else that payer: all, none, or group, with its group alone."""
        for one in (account, payer):
            value = self.records.get(one, {}).get("sharing", [])
            for item in value if isinstance(value, list) else [value]:
                item = {"mode": item} if isinstance(item, str) else item
                if self.date(item.get("from"), times.MIN) <= at < self.date(item.get("to"), times.MAX):
                    return item.get("mode", "all"), item.get("group", "") if one == account else ""
        return "all", ""

    def read_settings(self, record):
        """[(from, to, name, value)] of what an account says of its taxes, in the catalog's form or in that of records."""
        out, said = [], record.get("tax", [])
        for item in said if isinstance(said, list) else [said]:
            span = self.date(item.get("from"), times.MIN), self.date(item.get("to"), times.MAX)
            out += [(*span, "tax." + name, value) for name, value in item.items() if name not in ("from", "to")]
        for item in record.get("settings", []):
            start, end = (times.parse_date(item[key]) if item.get(key) else other for key, other in (("from", times.MIN), ("to", times.MAX)))
            out.append((start, end, item["setting"], self.typed(item["value"])))
        return out

    @staticmethod
    def typed(text):
        """What a record says: a truth, a number or a text."""
        if text in ("true", "false"):
            return text == "true"
        return num(text) if re.match(r"^-?\d+(\.\d+)?$", text) else text

    def customer(self, account, payer, at):
        """What holds of an account at an instant: its own, or where it says nothing of it all, that of the payer of the bill."""
        for one in (account, payer):
            out = {name: value for start, end, name, value in self.settings.get(one, []) if start <= at < end}
            if out:
                return out
        return {}

    def customer_since(self, account, names, at):
        """Since when what is asked of a customer is as it is then."""
        def said(at):
            known = self.customer(account, self.payer(account, at), at)
            return [known.get(name) for name in names]
        edges = {edge for one in self.accounts for start, end, _, _ in self.settings.get(one, []) for edge in (start, end)}
        edges |= set(self.account_edges(account))
        return max([edge for edge in edges if times.MIN < edge <= at and said(edge - 1) != said(edge)], default=times.MIN)

    def date(self, text, default):
        return default if text in (None, "") else times.parse_date(text, self.zone)

    def level_prices(self, owner, level):
        out = []
        for price in owner.get("prices", []):
            if isinstance(price, str):
                out += [p for p in self.public if p.name == price]
            else:
                out.append(Price(self, price, level, owner.get("currency")))
        return out

    def read_terms(self):
        """[(level, steps)] in the order in which they run: those of plans, of contracts, of the catalog."""
        owners = [("plan/" + name, plan) for name, plan in sorted(self.catalog.get("plans", {}).items(), key=lambda p: p[0].encode())]
        owners += [("contract/" + c["id"], c) for c in self.catalog.get("contracts", [])]
        owners.append(("catalog", self.catalog))
        out = [(level, [Term(body, level) for body in owner["terms"]]) for level, owner in owners if owner.get("terms")]
        for number, step in enumerate(step for _, steps in out for step in steps):
            step.number = number
        return out

    def in_force(self, level, account, at, contract):
        """Whether the terms of a level are those of an account, or of a contract's charge."""
        kind, _, name = level.partition("/")
        if kind == "contract":
            return contract is not None and contract["id"] == name
        if kind == "plan":
            if contract and contract.get("plan"):
                return contract["plan"] == name
            return self.own_plan(account) == name  # of a charge of no contract, or of one without a plan
        return True

    def read_overrides(self, rows):
        groups = defaultdict(list)
        for row in rows:
            groups[(row["account"], row["sku"], row.get("from", ""), row.get("to", ""))].append(row)
        out = defaultdict(list)
        for (account, sku, start, end), tiers in groups.items():
            self_scope = {"scope": tiers[0]["scope"]} if tiers[0].get("scope") else {}
            if len(tiers) == 1 and not tiers[0].get("up_to"):
                body = {"rate": tiers[0]["rate"], "flat": tiers[0].get("flat") or "0"}
                step = {"rate": body}
            else:
                tiers = sorted(tiers, key=lambda t: num(t["up_to"]) if t.get("up_to") else 10 ** 30)
                step = {"tier": dict(self_scope, tiers=[
                    {k: t[k] for k in ("up_to", "rate", "flat") if t.get(k)} for t in tiers])}
            covers = [{"use": name} for name in (tiers[0].get("cover") or "").split(";") if name]
            record = {"sku": sku, "name": sku, "steps": covers + [step]}
            price = Price(self, record, "override/" + account)
            price.start = times.parse_date(start) if start else times.MIN
            price.end = times.parse_date(end) if end else times.MAX
            out[account].append(price)
        return out

    def all_prices(self):
        out = list(self.public)
        for prices in (*self.plans.values(), *self.own.values(), *self.overrides.values()):
            out += [p for p in prices if p.level != "catalog"]
        return out

    def read_products(self):
        self.skus, self.product, self.attributes = set(), {}, {}
        for name, product in self.catalog.get("products", {}).items():
            skus = product.get("skus", {})
            for sku in skus:
                self.skus.add(sku)
                self.product[sku] = name
                if isinstance(skus, dict) and skus[sku]:
                    self.attributes[sku] = skus[sku].get("attributes", {})

    def name_skus(self):
        for price in self.all_prices():
            self.skus |= set(price.skus or [])
        for meter in self.catalog.get("meters", {}).values():
            if "sku" in meter and "data." not in meter["sku"] and '"' not in meter["sku"]:
                self.skus.add(meter["sku"])

    def read_edges(self):
        self.price_edges = {edge for p in self.all_prices() if not p.fixed
                            for edge in (p.start, p.end)}

    def slot_before(self, kind, at, meter):
        """The last instant up to at at which something changes for the usage of a kind: who the account belongs to,
        what its price says, its contract when the price asks it, or the turn of a clock of the price."""
        changes = self.changes(kind.account, kind.sku, kind.dims)
        place = bisect.bisect_right(changes, at)
        out = changes[place - 1] if place else times.MIN
        price = self.price(kind.at(at))
        terms = [] if self.is_one_value(meter) else self.terms_at(kind.account, at)
        for step in [*price.steps, *terms] if price else []:
            if step.kind == "fixed":  # it takes no rows, and cuts none
                continue
            if step.kind == "credit" and "clock" not in step.body:
                out = max(out, self.grants_since(step, at))
            if step.clock in ("row", "period", "always"):
                continue
            if step.by_contract(self) and self.contract(kind.account, at) is None:
                continue
            out = max(out, self.turn(step, None, kind.account, at)[0])
        for name in [name for step in [*price.steps, *terms] for name in step.asks_tables()] if price else ():
            for line in self.catalog["tables"][name]["rows"] if self.catalog["tables"][name].get("dated") else ():
                count = len(self.catalog["tables"][name]["keys"])
                out = max([out] + [edge for edge in (self.date(text, times.MIN) for text in line[count + 1:]) if edge <= at])
        for name in [name for step in [*price.steps, *terms] for name in step.asks_series()] if price else ():
            out = max([out] + [edge for edge in (self.date(point[0], None) for point in self.catalog["series"][name]["points"])
                               if edge <= at])
        asked = {name for step in [*price.steps, *terms] for name in step.asks_customer()} if price else ()
        if asked:
            out = max(out, self.customer_since(kind.account, sorted(asked), at))
        if price and not price.level.startswith("override"):
            out = max(out, self.tally_start(kind, at))
        for step in [*price.steps, *terms] if price else []:
            for name in re.findall(r'in_calendar\("(\w+)"\)', str(step.body)):
                out = max(out, self.calendar_start(name, at, max(out, at - 40 * times.DAY)))
            if step.kind == "rate" and "series" in step.body:
                series = self.catalog["series"][step.body["series"]]
                values = [dict(kind.dims).get(key, "") for key in step.body.get("keys", series["keys"])]
                out = max([out] + [edge for edge in (self.date(p[0], None) for p in series["points"]
                                                     if p[1:-1] == values) if edge <= at])
            if step.kind == "rate" and self.catalog.get("tables", {}).get(step.body.get("table"), {}).get("dated"):
                table = self.catalog["tables"][step.body["table"]]
                values = [dict(kind.dims).get(key, "") for key in step.body.get("keys", table["keys"])]
                out = max([out] + [self.date(edge, None) for row in table["rows"] if row[:2] == values
                                   for edge in row[3:] if edge and self.date(edge, None) <= at])
        return out

    def grants_since(self, step, at):
        """Since when the same grants of a credit live, and none has come again."""
        edges = [times.MIN, *(times.parse_date(t, self.zone) for t in step.body.get("resets", []))]
        for number, record in enumerate(step.body.get("grants", [])):
            grant = Grant(record, self.zone, number)
            edges += [grant.start, grant.end]
            if grant.clock and grant.start <= at < grant.end:
                edges.append(grant.clock.turn(at)[0])
        return max(edge for edge in edges if edge <= at)

    def is_one_value(self, meter):
        """A term's turn does not cut what a meter makes one value of."""
        adds_up = meter.get("aggregate", "sum") in ("count", "sum", "time_weighted")
        return (meter.get("grain") == "month" or "clock" in meter) and not adds_up

    def changes(self, account, sku, dims):
        """When what holds for usage of a kind changes."""
        key = (account, sku, dims)
        if key not in self.known_changes:
            kind = Kind(account, sku, dims)
            self.known_changes[key] = sorted(edge for edge in self.price_edges | set(self.account_edges(account))
                                             if self.holding(kind, edge - 1) != self.holding(kind, edge))
        return self.known_changes[key]

    def tally_start(self, kind, at):
        """Since when the turns go on of steps that ask for the usage of its SKU."""
        out = times.MIN
        for step in self.asking(kind.sku):
            if step.clock not in ("row", "period", "always"):
                if not step.by_contract(self) or self.contract(kind.account, at) is not None:
                    out = max(out, self.turn(step, None, kind.account, at)[0])
        return out

    def asked_skus(self, step):
        """The SKUs whose usage a step asks for, by their names or by those of meters that count one."""
        meters = self.catalog.get("meters", {})
        return [meters[name]["sku"] if name in meters and name not in self.skus else name
                for name in re.findall(r'usage\("(\w+)"\)', str(step.body))]

    def asking(self, sku):
        """The steps that ask for the usage of a SKU."""
        if sku not in self.known_asking:
            steps = [step for price in self.all_prices() for step in price.steps] + [step for _, steps in self.terms for step in steps]
            self.known_asking[sku] = [step for step in steps if sku in self.asked_skus(step)]
        return self.known_asking[sku]

    # ---- calendars ----

    WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

    @functools.lru_cache(100000)
    def in_calendar(self, name, at):
        body = self.catalog["calendars"][name]
        day, rest = times.civil(at, body.get("zone", self.zone))
        date = datetime.date.fromordinal(day)
        if date.isoformat() in body.get("except", []):
            return False
        for item in body["hours"]:
            days, _, hours = item.rpartition(" ")
            start, end = [(int(t[:2]) * 60 + int(t[3:])) * 60 * times.NS for t in hours.split("-")]
            first, _, last = days.partition("-")
            span = range(7)
            if days:
                a, b = self.WEEK.index(first), self.WEEK.index(last or first)
                span = [(a + i) % 7 for i in range((b - a) % 7 + 1)]
            today, before = date.weekday() in span, (date.weekday() - 1) % 7 in span
            if end > start:
                if today and start <= rest < end:
                    return True
            elif (today and rest >= start) or (before and rest < end):
                return True
        return False

    def calendar_start(self, name, at, least):
        """Since when it is as it is then: calendars of worlds change at quarters of an hour."""
        quarter = 15 * 60 * times.NS
        start = at // quarter * quarter
        while start > least and self.in_calendar(name, start - 1) == self.in_calendar(name, at):
            start = (start - 1) // quarter * quarter
        return start

    def holding(self, kind, at):
        price = self.price(kind.at(at))
        contract, terms = self.contract(kind.account, at), self.terms_at(kind.account, at)
        asks = (price is not None and price.asks_contract(self)) or any(s.asks_contract(self) for s in terms)
        return (self.path(kind.account, at), price and price.content, [step.node for step in terms],
                contract["id"] if asks and contract else None)

    def terms_at(self, account, at):
        contract = self.contract(account, at)
        return [step for level, steps in self.terms if self.in_force(level, account, at, contract) for step in steps]

    def account_edges(self, account):
        """Its own memberships and contracts, and those of what is above it, while it is above."""
        out = []
        for start, end, _ in self.contracts[account]:
            out += [start, end]
        for start, end, organization in self.members[account]:
            out += [start, end]
            out += [edge for edge in self.account_edges(organization) if start < edge < end]
        return out

    def ancestors(self, account):
        """The account and all that it is ever below."""
        out, todo = [], [account]
        while todo:
            at = todo.pop()
            if at not in out:
                out.append(at)
                todo += [organization for _, _, organization in self.members[at]]
        return out

    def path(self, account, at):
        """From the account up to its payer."""
        out = [account]
        while True:
            above = [m[2] for m in self.members[out[-1]] if m[0] <= at < m[1]]
            if not above:
                return out
            out.append(above[0])

    def payer(self, account, at):
        return self.path(account, at)[-1]

    def contract(self, account, at):
        for above in self.path(account, at):
            for start, end, contract in self.contracts[above]:
                if start <= at < end:
                    return contract
        return None

    def contract_under(self, account, payer, at):
        """The contract at the last instant, from this one back, at which the payer paid for the account."""
        starts = {start for spans in self.members.values() for start, _, _ in spans}
        ends = {end for spans in self.members.values() for _, end, _ in spans}
        for instant in sorted({at} | {edge - 1 for edge in starts | ends if edge - 1 < at}, reverse=True):
            if self.payer(account, instant) == payer:
                return self.contract(account, instant)
        return None

    def aggregate(self, meter):
        record = self.catalog["meters"][meter]
        return record.get("aggregate", "sum" if "value" in record else "count")

    def plan_of(self, account, at):
        """(name of the plan in force, whether it is the contract's)."""
        contract = self.contract(account, at)
        if contract and contract.get("plan"):
            return contract["plan"], True
        return self.own_plan(account), False

    def own_plan(self, account):
        return self.records.get(account, {}).get("plan") or self.catalog.get("default_plan")

    def price(self, row):
        contract = self.contract(row.account, row.time)
        levels = [self.overrides.get(row.account, [])]
        if contract:
            levels.append(self.own[contract["id"]])
        plan, _ = self.plan_of(row.account, row.time)
        if plan:
            levels.append(self.plans[plan])
        levels.append([p for p in self.public if p.public])
        for prices in levels:
            fits = [(p.rank(row), i) for i, p in enumerate(prices) if p.rank(row) is not None]
            if fits:
                return prices[max(fits)[1]]
        return None

    # ---- fixed prices ----

    def stretches(self, account):
        """All time, cut wherever a fixed price or what the account is may change."""
        if account not in self.known_stretches:
            edges = {times.MIN, times.MAX}
            for price in self.all_prices():
                edges |= {price.start, price.end}
            for above in self.ancestors(account):
                for start, end, _ in self.members[above] + self.contracts[above]:
                    edges |= {start, end}
            if self.since(account) is not None:
                edges.add(self.since(account))
            edges = sorted(edges)
            self.known_stretches[account] = list(zip(edges, edges[1:]))
        return self.known_stretches[account]

    def paid(self, payer):
        """The stretches in which a payer pays for anybody."""
        if payer not in self.known_paid:
            spans = sorted((start, end) for account in self.accounts for start, end in self.stretches(account)
                           if self.payer(account, start) == payer)
            out = []
            for start, end in spans:
                if out and start <= out[-1][1]:
                    out[-1] = out[-1][0], max(end, out[-1][1])
                else:
                    out.append((start, end))
            self.known_paid[payer] = out
        return self.known_paid[payer]

    def fees(self, account, at):
        """The fixed prices in force for an account, whoever pays them: a narrower level goes before a wider one."""
        since = self.since(account)
        if since is not None and at < since:
            return []
        contract, (plan, of_contract) = self.contract(account, at), self.plan_of(account, at)
        levels = []
        if contract:
            levels.append([(p, "contract", contract, contract["buyer"]) for p in self.own[contract["id"]]])
        if plan and of_contract:
            levels.append([(p, "plan", contract, contract["buyer"]) for p in self.plans[plan]])
        elif plan:
            levels.append([(p, "plan", None, account) for p in self.plans[plan]])
        levels.append([(p, "catalog", None, account) for p in self.public if p.public])
        own = [p for p in self.overrides.get(account, []) if p.start <= at < p.end]
        out, narrower = [], []
        for level in levels:
            level = [item for item in level if item[0].start <= at < item[0].end]
            for price, kind, of, holder in level:
                if any(n.replaces(price) for n in narrower + (own if of is None else [])):
                    continue
                for part in price.parts or [price]:
                    if part.fixed:
                        is_payers = kind == "catalog" and part.steps[0].scope == "organization"
                        out.append(Fee(kind, part, of, self.payer(account, at) if is_payers else holder))
            narrower += [item[0] for item in level]
        return out

    # ---- clocks ----

    def since(self, account):
        text = self.records.get(account, {}).get("since")
        return times.parse_date(text) if text else None

    def billings(self, payer):
        """[(from, to, clock, whether it is anchored)] of all time: contracts with a billing of their own, else the catalog's."""
        if payer not in self.known_billings:
            own = [item for item in self.contracts[payer] if "billing" in item[2]]
            edges = sorted({times.MIN, times.MAX}.union(*({start, end} for start, end, _ in own)))
            out = []
            for start, end in zip(edges, edges[1:]):
                holder = next((item for item in own if item[0] <= start < item[1]), None)
                body, since = (holder[2]["billing"], holder[0]) if holder else (self.catalog.get("billing", {}), self.since(payer))
                out.append((start, end) + self.billing_clock(body, since))
            self.known_billings[payer] = out
        return self.known_billings[payer]

    def is_anchored(self, payer):
        return any(anchored for _, _, _, anchored in self.billings(payer))

    def billed(self, payer, at):
        """(turn, the whole turn of its clock, whether that is anchored): a turn ends where another clock takes over, unless that
        says the same turn."""
        spans = self.billings(payer)
        first = last = next(i for i, span in enumerate(spans) if span[0] <= at < span[1])
        whole = spans[first][2].turn(at)
        while spans[first][0] > whole[0] and spans[first - 1][2].turn(spans[first][0]) == whole:
            first -= 1
        while spans[last][1] < whole[1] and spans[last + 1][2].turn(spans[last][1]) == whole:
            last += 1
        turn = max(whole[0], spans[first][0]), min(whole[1], spans[last][1])
        return turn, whole, spans[first][3]

    def billing_clock(self, body, start):
        every, count = body.get("every", "month"), 1
        if " " in every:
            count, every = int(every.split()[0]), every.split()[1].rstrip("s")
        zone = body.get("zone", self.zone)
        anchor = body.get("anchor", "calendar")
        if anchor == "calendar":
            return times.Clock(every, count, None, zone), count != 1  # turns of several units are none of the calendar
        if anchor in ("contract", "subscription"):
            if start in (None, times.MIN):
                return times.Clock(every, count, None, zone), False
        else:
            start = times.parse_date(anchor, zone)
        usual = times.Clock(every, count, None, zone)
        if usual.turn(start)[0] == start:
            return usual, False  # its turns are the calendar's
        return times.Clock(every, count, start, zone), True

    def cuts(self, payer):
        """A bill for each turn: of a clock of the payer's own, each that begins in the period; of the
        calendar's, the part that lies in the period."""
        if payer in self.known_cuts:
            return self.known_cuts[payer]
        out, at = [], self.period[0]
        while at < self.period[1]:
            turn, _, anchored = self.billed(payer, at)
            if not anchored:
                out.append((max(turn[0], self.period[0]), min(turn[1], self.period[1])))
            elif turn[0] >= self.period[0]:
                out.append(turn)
            at = turn[1]
        self.known_cuts[payer] = out
        return out

    def turn(self, step, payer, account, at, contract=False):
        """contract: that of a charge; False: the account's then."""
        if contract is False:
            contract = self.contract(account, at)
        clock = step.clock
        if clock == "always":
            return times.MIN, times.MAX
        if clock == "period":
            return self.billed(payer, at)[0]
        if clock == "contract_year":
            return self.contract_clock("year", 1, contract, at, self.zone)
        own = self.catalog.get("clocks", {}).get(clock, {})
        if own.get("anchor") == "subscription":  # of the account that the scope is
            if step.scope in ("organization", "contract"):
                account = contract["buyer"] if contract and step.scope == "contract" else payer or self.payer(account, at)
            return times.Clock(own["every"], 1, self.since(account), own.get("zone", self.zone)).turn(at)
        return self.turn_of(clock, at, contract)

    def clock_zone(self, step):
        """In whose days a turn is counted."""
        return self.catalog.get("clocks", {}).get(step.clock, {}).get("zone", self.zone)

    def whole_turn(self, step, payer, turn):
        """What parts of a turn are measured against."""
        return self.billed(payer, turn[0])[1] if step.clock == "period" else turn

    def turn_of(self, clock, at, contract=None):
        if clock in self.catalog.get("clocks", {}):
            body = self.catalog["clocks"][clock]
            every, count = body["every"], 1
            if " " in every:
                count, every = int(every.split()[0]), every.split()[1].rstrip("s")
            zone, anchor = body.get("zone", self.zone), body.get("anchor", "calendar")
            if anchor == "contract":
                return self.contract_clock(every, count, contract, at, zone)
            start = None if anchor == "calendar" else times.parse_date(anchor, self.zone)
            return times.Clock(every, count, start, zone).turn(at)
        return times.Clock(clock, 1, None, self.zone).turn(at)

    def contract_clock(self, every, count, contract, at, zone):
        start = self.date(contract.get("from"), None) if contract else None
        return times.Clock(every, count, start, zone).turn(at)
