"""The naive rater, second half: a payer's usage rows to charges.

Every step is one loop over all rows in the total order, node by node; nothing is streamed, cached or shared with the
engine.  Steps on charges, of prices and of terms alike, are in terms.py.  See README.md for what was decided where the
pages leave it open."""
import copy
import datetime
import re
from collections import defaultdict
from fractions import Fraction

import expressions
import times
from world import Raw
from cover import CoverSteps
from exact import ceil_to, num, quantize
from setting import Step, TermPrice
from terms import ChargeSteps, TermRow

ZERO = Fraction(0)


DIGITS = {"JPY": 0, "USD": 2, "EUR": 2, "KWD": 3, "CLF": 4}  # of minor units


class Flow:
    """A part of a row on its way: a quantity, then an amount."""

    def __init__(self, row, quantity, events):
        self.row, self.quantity, self.events = row, quantity, events
        self.amount = None  # a charge when it is set
        self.adjustments = []  # Adjustment: charges of this charge
        self.tier = self.rate = self.step = None
        self.grant = ""  # or commitment, that covered it, or that is bought
        self.effective = self.listed = None  # of a covered part: its share of what the commitment costs; at the list rate
        self.told = None  # the quantity on its line, where that is of other charges
        self.kind, self.is_ghost, self.factor = "usage", False, Fraction(1)  # factor: the part of a turn that a fixed amount is for

    def net(self):
        """What is left of it; taxes are charges beside it."""
        return self.amount + sum((a.amount for a in self.adjustments if a.kind != "tax" and not a.of_tax), ZERO)

    def adjust(self, step, kind, amount, **more):
        if amount:
            self.adjustments.append(Adjustment(step, kind, amount, **more))

    def ghost(self, step):
        """What was free: it was used all the same, so a minimum behind it is owed; no step on charges takes it."""
        self.is_ghost = True
        return self.charge(step, ZERO, ZERO)

    def charge(self, step, amount, rate=None, tier=None):
        self.step, self.amount, self.rate, self.tier = step.name, amount, rate, tier
        return self


class Adjustment:
    """A charge of a charge: it has the keys of the one that it adjusts."""

    def __init__(self, step, kind, amount, of_tax=False, grant=None, rate=None, quantity=ZERO):
        self.quantity = quantity
        self.step, self.kind, self.amount, self.of_tax, self.grant, self.rate = step, kind, amount, of_tax, grant, rate
        self.paid = ZERO  # of a tax, by credits

    def seen(self, flow):
        """The charge that an expression sees: with the keys of the one that it adjusts."""
        out = Flow(flow.row, ZERO, 0)
        out.step, out.kind, out.amount, out.rate = self.step, self.kind, self.amount - self.paid, self.rate
        return out


class ScopeRow:
    """Stands for a row where a charge on a bucket's scope goes on through its price."""
    resource, dims, meter, events, unit = "", (), "", 0, ""

    def __init__(self, account, sku, time, price, flow, contract, span):
        self.contract, self.account, self.sku, self.time, self.price, self.flows = (
            contract, account, sku, time, price, [flow])
        self.span = span  # the part of the turn that its line names
        flow.row = self

    def place(self):
        """Where it stands among others, behind all rows."""
        flow = self.flows[0]
        return (self.time, self.account.encode(), self.resource.encode(), self.sku.encode(),
                [(name.encode(), str(value).encode()) for name, value in sorted(self.dims)], self.price.name.encode(),
                self.price.start, self.contract["id"].encode() if self.contract else b"",
                flow.step.encode(), flow.tier or times.MAX, flow.amount, flow.net())


class FixedRow(ScopeRow):
    """Stands for a row where a fixed amount is charged."""


class MergedRow:
    """The rows of a bucket that an aggregate made one: the first, without the keys in which they differ."""

    def __init__(self, rows, account, contract):
        first = rows[0]
        self.time, self.sku, self.meter, self.price, self.contract = (
            first.time, first.sku, first.meter, first.price, contract)
        self.account = first.account if all(r.account == first.account for r in rows) else account
        self.resource = first.resource if all(r.resource == first.resource for r in rows) else ""
        self.unit = first.unit if all(r.unit == first.unit for r in rows) else ""
        others = [dict(r.dims) for r in rows]
        self.dims = tuple((k, v if all(o.get(k, "") == v for o in others) else "") for k, v in first.dims)
        self.flows, self.events, self.slot, self.converted = [], 0, first.slot, ZERO


class Part:
    """One flow of a row, where a step takes flows in an order of its own."""

    def __init__(self, row, flow):
        self.whole, self.flows = row, [flow]

    def __getattr__(self, name):
        return getattr(self.whole, name)


class Charge:
    """What is billed; of is the kind of the charge that it adjusts."""

    def __init__(self, flow, step, kind, amount, contract, quantity=ZERO, of=None):
        row = flow.row
        self.account, self.sku, self.price, self.step = row.account, row.sku, row.price.name, step
        self.resource, self.dims, self.time, self.contract = row.resource, row.dims, row.time, contract
        self.kind, self.amount, self.quantity, self.of = kind, amount, quantity, of
        self.tier, self.rate, self.grant = flow.tier, flow.rate, flow.grant
        self.effective = amount if flow.effective is None else flow.effective
        self.listed = (flow.amount if flow.listed is None else flow.listed) if of is None else ZERO
        self.level, self.unit = row.price.level, row.unit


class Bill(ChargeSteps, CoverSteps):
    """All charges of one payer and one cut; previous is the payer's bill before, whose buckets may go on."""
    asked_at = None  # when tables are asked; None: at the row's time

    def __init__(self, setup, payer, cut, rows, previous=None):
        self.curves = {}  # quantity so far: see piece
        self.setup, self.payer, self.cut = setup, payer, cut
        self.lines_are_rounded = self.rounds_lines()
        self.memories = previous.memories if previous else {}
        self.goes_on = previous is not None and previous.cut[1] == cut[0]
        self.currency = setup.currency(payer, cut)
        self.charges, self.numbers, self.wallets, self.opened, self.level = [], {}, [], {}, None
        self.unpriced, self.free = [], []
        self.rows = sorted(rows, key=lambda r: (
            r.time, r.account.encode(), r.resource.encode(), r.sku.encode(),
            self.dims_place(r), r.meter.encode(), r.event))
        for row in self.rows:
            row.price, row.unit = setup.price(row), setup.catalog.get("meters", {}).get(row.meter, {}).get("unit", "")
            row.flows, row.converted = [Flow(row, row.quantity, row.events)], row.quantity
            if row.price is None:
                self.unpriced.append(row)
        self.priced = [copied for row in self.rows if row.price is not None for copied in self.for_components(row)]
        self.fixed()
        self.commitments()
        self.open_prices()
        for node in self.order():
            self.run(node)
        self.sell_prices()
        self.memories.setdefault("past", []).extend(
            row for row in self.priced if not isinstance(row, ScopeRow))
        self.convert()
        self.run_terms()
        for row in self.priced:
            for flow in row.flows:
                self.add(flow)

    def dims_place(self, row):
        """Dimension values in name order; one that the row lacks is empty."""
        values = {name: str(value).encode() for name, value in row.dims}
        return [values.get(name, b"") for name in sorted(self.setup.dimension_names, key=str.encode)]

    def convert(self):
        """Amounts of prices in another currency than the bill's, once, before terms: rounded over the sum of a line."""
        rules, sums = self.setup.catalog.get("currencies", {}), defaultdict(Fraction)
        digits = int(num(rules.get("digits", 18)))
        mode = rules.get("mode", "half_up" if "digits" in rules else "half_even")

        def converted(row, flow, like, rate):
            if digits == 18:
                return quantize(like.amount * rate)
            if like.kind == "negation" and flow.kind == "covered":
                return -flow.amount  # what it takes back is minus what that line is
            key = self.converted_line(row, flow, like)
            before, sums[key] = sums[key], sums[key] + like.amount * rate
            return quantize(sums[key], digits, mode) - quantize(before, digits, mode)
        for row in self.priced:
            if row.price.currency in (None, self.currency):
                continue
            for flow in row.flows:
                if flow.amount is None:
                    continue
                rate = self.setup.rate(row.price.currency, self.currency, row, self.payer, self.cut)
                flow.conversion = row.price.currency, rate
                flow.amount = converted(row, flow, flow, rate)
                if flow.listed is not None:
                    like, own = ("list", self.converted_line(row, flow, flow)), quantize(flow.listed * rate)
                    before, sums[like] = sums[like], sums[like] + flow.listed * rate
                    flow.listed = own if digits == 18 else quantize(sums[like], digits, mode) - quantize(before, digits, mode)
                for adjustment in flow.adjustments:
                    adjustment.amount = converted(row, flow, adjustment, rate)

    def converted_line(self, row, flow, like):
        """What becomes one line: a charge, or what adjusts it."""
        contract = self.contract(row)
        dims = tuple(item for item in row.dims if item[1])
        place = (row.span, row.resource) if isinstance(getattr(row, "whole", row), ScopeRow) else (
            row.slot, row.resource, tuple(getattr(row, "event", ())) if row.price.by_event else ()) if row.price.hourly else None
        return (row.account, row.sku, row.unit, id(getattr(row.price, "whole", row.price)), dims, flow.conversion, flow.tier, like.rate, like.step, like.kind, like.grant,
                contract and contract["id"], place)

    def minor(self, row):
        """Digits of what a step works in: the price's currency, behind all prices the bill's."""
        return DIGITS.get(self.currency if self.level else row.price.currency, 2)

    @staticmethod
    def for_components(row):
        """The row, or one for each component of its price that takes usage; the first stands for it."""
        out = []
        for part in row.price.parts:
            if not part.fixed:
                copied = copy.copy(row)
                copied.price, copied.flows = part, [Flow(copied, row.quantity, row.events)]
                copied.is_copy, copied.origin = bool(out), id(row)
                copied.converted = ZERO if out else row.quantity
                out.append(copied)
        return out or [row]

    def add(self, flow):
        contract = self.contract(flow.row)
        contract = contract and contract["id"]
        self.charges.append(Charge(flow, flow.step, flow.kind, flow.amount, contract, flow.quantity if flow.told is None else flow.told))
        for a in flow.adjustments:
            self.charges.append(Charge(flow, a.step, a.kind, a.amount, contract, a.quantity, "tax" if a.of_tax else flow.kind))
            self.charges[-1].grant = a.grant or ""
            self.charges[-1].effective = ZERO if flow.kind == "covered" else a.amount
            if a.rate is not None:
                self.charges[-1].rate = a.rate

    def order(self):
        """The nodes, each after all that stand before it in some price."""
        after = defaultdict(set)
        for price in self.setup.all_prices():
            for one in price.parts or [price]:
                for before, step in zip(one.steps, one.steps[1:]):
                    after[step.node].add(before.node)
            for step in price.steps:  # it waits for what it asks for
                for sku in self.setup.asked_skus(step):
                    for other in self.setup.all_prices():
                        if other.skus is None or sku in other.skus:
                            converts = [s.node for s in other.steps if s.kind == "convert"]
                            after[step.node] |= set(converts[-1:])
            for step in price.steps:
                after[step.node] |= set()
        out, left = [], sorted(after)
        while left:
            ready = [node for node in left if after[node] <= set(out)]
            out += ready
            left = [node for node in left if node not in ready]
        return out

    def places(self):
        """{node: (its depth, its name)}: at one instant charges on scopes stand in the order of the steps that made them.  Usage
        that somebody asks for is counted by a step of each of its prices, behind the last convert, for whom that step waits."""
        def name(node):
            if node[0] == "shared":
                return node[1]
            level = "" if node[0] == "catalog" else "@%s/" % node[0]
            return "%s%s/%s" % (level, *node[1:])
        prices = [one for price in self.setup.all_prices() for one in price.parts or [price]
                  if not price.level.startswith("override")]
        asked = [(step.node, sku) for price in prices for step in price.steps
                 for sku in self.setup.asked_skus(step)]
        asked += [(None, sku) for _, steps in self.setup.terms for step in steps
                  for sku in self.setup.asked_skus(step)]
        before = defaultdict(set)
        for number, price in enumerate(prices):
            nodes = [step.node for step in price.steps]
            skus = {sku for _, sku in asked if price.skus is None or sku in price.skus}
            if skus and price.steps[0].kind != "fixed":
                at = max([i + 1 for i, step in enumerate(price.steps) if step.kind == "convert"], default=0)
                nodes.insert(at, ("counts", number))
                for asker, sku in asked:
                    if asker and sku in skus:
                        before["asks", sku, asker].add(("counts", number))
                        before[asker].add(("asks", sku, asker))
            for one, node in zip([None, *nodes], nodes):
                before[node] |= {one} - {None, node}

        depths = {}
        def depth(node):
            if node not in depths:
                depths[node] = max((depth(one) + 1 for one in before[node]), default=0)
            return depths[node]
        return {node: (depth(node), name(node).encode()) for node in list(before) if node[0] not in ("counts", "asks")}

    def step_place(self, row, flow):
        if flow is None or hasattr(row, "slot") or hasattr(row, "term_number"):
            return ()
        if not hasattr(self, "places_found"):
            self.places_found = self.places()
        return next((self.places_found.get(step.node, ()) for step in row.price.steps if step.name == flow.step), ())

    def run(self, node):
        entries = []
        for row in self.priced:
            if getattr(row, "is_sold", False):  # beside the price: terms alone see it
                continue
            step = next((s for s in row.price.steps if s.node == node), None)
            if step and step.kind != "fixed":
                entries.append((row, step))
        rows = [e for e in entries if not isinstance(e[0], ScopeRow)]
        others = [e for e in entries if isinstance(e[0], ScopeRow)]
        entries = rows + sorted(others, key=lambda e: e[0].place())
        self.node = node
        if entries:
            parts = self.sorted_parts(entries)
            self.run_step(entries[0][1].kind, entries if parts is None else parts)
            if parts is not None:
                for row, _ in entries:
                    row.flows = [flow for part in row.parts for flow in part.flows]
                    if entries[0][1].kind == "convert":
                        row.converted = sum((f.quantity for f in row.flows if f.amount is None), ZERO)
        self.settle()

    @staticmethod
    def flow_of(row):
        return Flow(row, ZERO, 0)

    @staticmethod
    def scope_row(account, sku, at, price, flow, contract, span):
        return ScopeRow(account, sku, at, price, flow, contract, span)

    def sorted_parts(self, entries):
        """The flows that the step takes, each alone, sorted as it declares; None when it does not."""
        order = entries[0][1].body.get("order")
        if order is None or entries[0][1].kind == "credit":
            return None
        parts = []
        for row, step in entries:
            row.parts = [Part(row, flow) for flow in row.flows]
            for part in row.parts:
                flow = part.flows[0]
                wants = step.kind not in ("convert", "aggregate", "allowance", "tier")
                if (flow.amount is not None) == wants and (step.kind == "allocate" or self.takes(flow, step)):
                    parts.append((part, step))
        for key in reversed(order if isinstance(order, list) else [order]):
            back = key.startswith("-")
            text = key[1:] if back else key
            values = {id(part): self.evaluate(text, part, part.flows[0], step) for part, step in parts}
            values = {k: v.encode() if isinstance(v, str) else v for k, v in values.items()}
            parts.sort(key=lambda p: values[id(p[0])], reverse=back)  # what ties stays as it was
        return parts

    def measure(self, flow, row, step, otherwise):
        """What a step accumulates of a flow."""
        if "measure" not in step.body:
            return otherwise
        return quantize(self.said(step.body["measure"], row, flow, step))

    def memory(self, name, make):
        """What a node's buckets hold, from bill to bill."""
        return self.memories.setdefault((self.node, name), defaultdict(make))

    # ---- what all steps have ----

    def key(self, row, step):
        """Versions with another scope or unit share no bucket; nor do turns that end at another time."""
        version = row.price.start if self.restarts(step) else None
        alone = self.origin(row) if step.clock == "row" else None
        return self.bucket_scope(row, step), self.by(row, step), self.turn(row, step), (version, step.scope, step.unit, alone)

    @staticmethod
    def origin(row):
        """Which row of usage it is, in whichever component; or which charge of no row."""
        whole = getattr(row, "whole", row)
        return getattr(whole, "origin", id(whole))

    def turn(self, row, step):
        if step.clock == "row":
            return (row.time, row.time)
        if hasattr(row, "asked_turn"):
            return row.asked_turn
        return self.setup.turn(step, self.payer, row.account, row.time, self.contract(row))

    def contract(self, row):
        row = getattr(row, "whole", row)
        if isinstance(row, (ScopeRow, MergedRow, TermRow)):
            return row.contract
        return self.setup.contract(row.account, row.time)

    def bucket_scope(self, row, step):
        if step.scope == "resource":
            return row.account, row.resource
        if step.scope == "organization":
            return self.payer
        if step.scope == "contract":
            contract = self.contract(row)
            return (contract["id"],) if contract else self.payer
        return row.account

    def by(self, row, step):
        own = ()
        if not (step.shared or step.term):  # a price's own steps see one SKU; what a shared one in front has charged has none
            skus = row.price.skus or []
            own = (row.sku or (skus[0] if len(skus) == 1 else ""),)
        names = {key.rpartition(".")[2]: key for key in step.by}  # other versions may have others
        return own + tuple((key, self.name(row, None, step, names[key])) for key in sorted(names))

    def name(self, row, flow, step, path):
        """What an expression of a step may name; what it looks up."""
        if isinstance(path, tuple):
            return self.setup.asked(path, row.time if self.asked_at is None else self.asked_at)
        if path.startswith("charges("):
            return self.charged(path.partition("(")[2], row, step)
        if path.startswith("usage("):
            return self.used(path.partition("(")[2], row, step)
        if path.startswith("in_calendar("):
            return self.setup.in_calendar(path.partition("(")[2], row.time)
        head, _, rest = path.partition(".")
        if head in ("period", "turn") and rest:
            turn = self.turn(row, step)
            if head == "period":
                turn = self.setup.billed(self.payer, row.time)[0]
            seconds = Fraction(turn[1] - turn[0], times.NS)
            if rest == "days":  # of the calendar, between two equal times of day
                (first, begin), (last, end) = (times.civil(at, self.setup.zone) for at in turn)
                return Fraction(last - first) if begin == end else quantize(seconds / 86400)
            return {"seconds": seconds, "hours": quantize(seconds / 3600)}[rest]
        if head == "contract" and rest:
            contract = self.contract(row) or {}
            if rest not in contract.get("parameters", {}):
                raise expressions.Failure("EXPRESSION")
            value = contract["parameters"][rest]
            return num(value)
        if head == "quantity":
            return getattr(flow, "freed", flow.quantity)
        if head == "events":
            return Fraction(flow.events)
        if head in ("amount", "kind", "rate", "step"):
            return getattr(flow, head)
        if head == "net":
            return flow.net()
        if head == "price":
            return row.price.name
        if head == "customer":
            return self.of_customer(row, step, rest)
        if head in ("sku", "account", "resource", "time") or (head == "unit" and "unit" not in self.setup.dimension_names | set(dict(row.dims))):
            return getattr(row, head)
        if head == "product":
            return self.setup.product.get(row.sku, "")
        if head == "dims":
            head = rest
        dims = dict(row.dims)
        if head in dims:
            return expressions.Held(dims[head])
        if head in self.setup.dimension_names:
            return expressions.Held("")
        value = self.setup.attributes.get(row.sku, {}).get(rest if head == "attributes" else head)
        if value is None:
            return ""
        return num(value) if isinstance(value, Raw) else value

    def charged(self, name, row, step):
        """What is charged so far of a product, SKU or step, in the scope and turn of a term, as that begins to run."""
        scope, turn = self.bucket_scope(row, step), self.turn(row, step)
        if self.cut not in self.memories.get((step.node, "charged"), {}):  # of a group whose first comes
            self.count_charged(step)
        return sum((left for counted in self.memories[step.node, "charged"].values() for names, where, when, left in counted
                    if name in names and where == scope and when == turn), ZERO)

    def of_customer(self, row, step, name):
        """What the account of a row says when its step looks it up."""
        at, when = row.time, step.body.get("settings_at", "row")
        if when == "invoice":
            at = self.cut[1]
        elif when != "row":
            turn = self.turn(row, step)
            if turn[0] != turn[1] and turn[1] < times.MAX:  # else it is the row's own, or has no end
                at = turn[0] if when == "turn_start" else turn[1] - 1
        known = self.setup.customer(row.account, self.payer, at)
        if name not in known:
            raise expressions.Failure("EXPRESSION")
        value = known[name]
        return num(value) if isinstance(value, (Raw, int)) and not isinstance(value, bool) else value

    def used(self, sku, row, step):
        """What of a SKU was used in the scope and turn of a step, converted."""
        scope, turn = self.bucket_scope(row, step), self.turn(row, step)
        rows = {id(r): r for r in self.memories.get("past", []) + self.priced}.values()  # to terms this bill's are past, too
        by_meter = sku in self.setup.catalog.get("meters", {}) and sku not in self.setup.skus
        return sum((r.converted for r in rows if (r.meter if by_meter else r.sku) == sku and not isinstance(r, ScopeRow)
                    and self.bucket_scope(r, step) == scope and self.turn(r, step) == turn), ZERO)

    def evaluate(self, text, row, flow, step):
        return self.settled(expressions.evaluate(expressions.parse(text),
                                                 lambda path: self.name(row, flow, step, path)))

    @staticmethod
    def settled(value):
        """What an expression says has 18 digits at most; inside products are exact."""
        return quantize(value) if isinstance(value, Fraction) else value

    def said(self, text, row, flow, step, known=None):
        """A number that the row says: a dimension with a number in it is that."""
        def find(path):
            if known and path in known:
                return known[path]
            value = self.name(row, flow, step, path)
            try:
                return num(value) if isinstance(value, str) else value
            except ValueError:
                return value
        return self.settled(expressions.evaluate(expressions.parse(str(text)), find))

    def number(self, value, row, step, flow=None):
        text = str(value)
        try:
            return num(text)
        except ValueError:  # an expression: evaluated once per bucket, by its first row
            body, kind = step.body, step.kind
            is_alone = kind in ("rate", "percent", "formula") or (  # each has its own
                kind in ("discount", "markup") and "percent" in body and "amount" not in body.get("limit", {}) and body.get("attribute", "in_order") == "in_order")
            key = (id(step), text, self.key(row, step), row if is_alone or step.clock == "row" or kind == "fixed" else None)
            if key not in self.numbers:
                start, end = self.turn(row, step)
                self.asked_at = start if not is_alone and times.MIN < start < end else None  # tables of a bucket's numbers
                self.numbers[key] = self.evaluate(text, row, flow, step)
                self.asked_at = None
            return self.numbers[key]

    def takes(self, flow, step):
        where = step.body.get("where")
        return where is None or self.evaluate(where, flow.row, flow, step)

    def factor(self, step, row, turn, limits=None):
        """The part of the turn in which the price is active, for limits that are prorated."""
        account = limits[0] if limits else row.account
        body = step.body
        if self.restarts(step) and body.get("prorate", "none") == "none":
            return self.restarted(step, row, turn)
        if body.get("prorate", "none") == "none":
            return Fraction(1)
        if limits is not None:
            return self.active_part(step, row, turn, account, limits[1])
        key = ("factor", id(step), self.key(row, step))  # as any number: by the bucket's first row
        if key not in self.numbers:
            account = self.scope_account(self.flow_of(row), step)  # but for whose it is
            self.numbers[key] = self.active_part(step, row, turn, account, self.contract(row))
        return self.numbers[key]

    def active_part(self, step, row, turn, account, contract):
        level = step.level if step.term else row.price.level
        start, end = turn
        held = [turn]  # while one of the versions that have it is in force
        if step.term:
            start, end = max(start, step.start), min(end, step.end)
        else:
            versions = [p for p in self.setup.all_prices()  # a limit that goes on through versions that have it
                        if (p.level, p.name) == (row.price.level, row.price.name) and any(s.node == step.node for s in p.steps)]
            if self.restarts(step):
                versions = [row.price]
            held = sorted((p.start, p.end) for p in versions)
        kind, _, name = level.partition("/")
        if contract and (step.scope == "contract" or (kind == "contract" and (
                step.term or not step.shared and contract["id"] == name))):
            start = max(start, self.setup.date(contract.get("from"), times.MIN))
            end = min(end, self.setup.date(contract.get("to"), times.MAX))
        since = self.setup.since(account)
        if since is not None:
            start = max(start, since)
        parts = []
        for a, b in held:
            a, b = max(start, a), min(end, b)
            if a < b and parts and parts[-1][1] == a:
                parts[-1] = (parts[-1][0], b)
            elif a < b:
                parts.append((a, b))
        plan = name if kind == "plan" and (step.term or not step.shared) else None
        if plan and not (step.scope == "contract" and contract):
            parts = [part for time in parts for part in self.parts_of(plan, account, time, step)]
        return self.part(step, parts, self.setup.whole_turn(step, self.payer, turn), turn[1])

    def parts_of(self, plan, account, time, step):
        """The parts of the time in which the account has the plan, or any that the payer pays for then; of a scope of contracts,
        and has none."""
        parts, is_shared = [], step.scope in ("organization", "contract")
        for one in self.setup.accounts if is_shared else [account]:
            since = self.setup.since(one)
            for start, end in self.setup.stretches(one):
                start, end = max(start, time[0]), min(end, time[1])
                if (start < end and self.setup.plan_of(one, start)[0] == plan
                        and (since is None or since <= start)
                        and (step.scope != "contract" or not self.setup.contract(one, start))
                        and (not is_shared or self.setup.payer(one, start) == self.payer)):
                    parts.append((start, end))
        joined = []
        for start, end in sorted(parts):
            if joined and start <= joined[-1][1]:
                first, last = joined.pop()
                start, end = first, max(last, end)
            joined.append((start, end))
        return joined

    def part(self, step, parts, turn, billed):
        """Their part of the turn; as it is billed, it ends at `billed`, where no day is counted twice."""
        body, zone = step.body, self.setup.clock_zone(step)
        mode = body["prorate"]
        if mode == "second":
            whole, active = turn[1] - turn[0], sum(end - start for start, end in parts)
        else:
            count = self.thirty if mode == "30_day" else self.days
            whole, active = count(*turn, zone), sum(count(start, end, zone) for start, end in parts)
            if whole == 0:  # inside a day
                whole, active = turn[1] - turn[0], sum(end - start for start, end in parts)
            elif mode == "day_inclusive":  # the day it ends in counts
                active = min(active + sum(start < end < turn[1] and end != billed for start, end in parts), whole)
        if "digits" not in body:
            return Fraction(active, whole)  # exact: the amount is quantized, once
        how = body.get("part_mode", "half_even" if "tiers" in body else body.get("mode", "half_even"))  # of tiers: volume or not
        return quantize(Fraction(active, whole), int(body["digits"]), how)

    def days(self, start, end, zone):
        return times.civil(end, zone)[0] - times.civil(start, zone)[0]

    def thirty(self, start, end, zone):
        """Days of twelve months of thirty days: what a month has beyond its 29th is its 30th."""
        def count(at):
            date = datetime.date.fromordinal(times.civil(at, zone)[0])
            ends = (date + datetime.timedelta(1)).day == 1
            return (date.year * 12 + date.month) * 30 + (30 if ends else min(date.day, 30))
        return count(end) - count(start)

    def restarts(self, step):
        return step.body.get("on_change") == "restart"

    def restarted(self, step, row, turn):
        """The part of the turn that the row's version has, in seconds."""
        if not self.restarts(step) or step.clock in ("row", "always"):
            return Fraction(1)
        start, end = max(turn[0], row.price.start), min(turn[1], row.price.end)
        return Fraction(end - start, turn[1] - turn[0])

    # ---- usage steps ----

    def run_convert(self, entries):
        position, into = self.memory("position", Fraction), {}
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is not None or not self.takes(flow, step):
                    continue
                into[id(getattr(row, "whole", row))] = getattr(row, "whole", row), step.body.get("to")
                if step.clock == "row":
                    flow.quantity = self.converted(flow.quantity, row, flow, step)
                    continue
                key = self.key(row, step)
                if "quantity" in step.body:  # of a row; what is accumulated is what it gives
                    flow.quantity = self.factored(flow.quantity, row, flow, step)
                before = position[key]
                position[key] += flow.quantity
                flow.quantity = (self.converted(position[key], row, flow, step)
                                 - self.converted(before, row, flow, step))
            row.converted = sum((flow.quantity for flow in row.flows if flow.amount is None), ZERO)
        for row, unit in into.values():
            row.unit = unit or row.unit

    def factored(self, x, row, flow, step):
        body = step.body
        if "quantity" in body:
            return quantize(self.evaluate(str(body["quantity"]), row, flow, step))
        return quantize(x * self.number(body.get("multiply", 1), row, step)
                        / self.number(body.get("divide", 1), row, step))

    def converted(self, x, row, flow, step):
        body = step.body
        if "quantity" not in body or step.clock == "row":
            x = self.factored(x, row, flow, step)
        if "minimum" in body and x > 0:
            x = max(x, self.number(body["minimum"], row, step))
        if "increment" in body:
            increments = body["increment"]
            if not isinstance(increments, list):
                increments = [{"size": increments}]
            start, out = ZERO, ZERO
            for increment in increments:
                end = num(increment["up_to"]) if "up_to" in increment else None
                part = x - start if end is None else min(x, end) - start
                if part > 0 or start == 0:
                    out += ceil_to(part, num(increment["size"]))
                start = end
            x = out
        if "round" in body:
            rule = body["round"]
            if not isinstance(rule, dict):
                rule = {"digits": rule}
            x = quantize(x, int(rule["digits"]), rule.get("mode", "half_up"))
        return x

    def run_aggregate(self, entries):
        buckets, groups = self.memory("values", list), {}
        billed = self.memory("billed", Fraction)
        for row, step in entries:
            kept = []
            for flow in row.flows:
                if flow.amount is not None or not self.takes(flow, step):
                    kept.append(flow)
                    continue
                key = self.key(row, step) + ((id(flow),) if step.clock == "row" else ())
                groups.setdefault(key, []).append((row, step, flow))
            row.flows = kept
        for key, group in groups.items():
            row, step, first = group[0]
            buckets[key] += [self.measure(flow, r, s, flow.quantity) for r, s, flow in group]
            value = self.aggregated(step, buckets[key], row)
            merged = MergedRow([r for r, _, _ in group], self.scope_account(first, step),
                               self.contract(row))
            merged.flows.append(Flow(merged, value - billed[key], sum(f.events for _, _, f in group)))
            merged.events = merged.flows[0].events
            billed[key] = value
            self.priced.insert(self.priced.index(getattr(row, "whole", row)) + 1, merged)

    def aggregated(self, step, values, row):
        body, n = step.body, len(values)
        samples = max(n, int(self.number(body.get("samples", n), row, step)))
        if body["function"] == "percentile":
            ordered = sorted(values + [ZERO] * (samples - n))
            p = num(body["percentile"])
            if body.get("method") == "nearest_rank":
                return ordered[-(-p * samples // 100) - 1]
            drop = (100 - p) * samples // 100
            return ordered[max(0, samples - 1 - int(drop))]
        return {"sum": sum(values, ZERO), "max": max(values), "min": min(values), "last": values[-1],
                "count": Fraction(n), "average": quantize(sum(values, ZERO) / samples)}[body["function"]]

    def share_allowance(self, entries):
        """Pro rata: what is free of a bucket's sum, along its chord; the last row's version says how much."""
        used, parts, starts, limits = self.memory("used", Fraction), [], {}, {}
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is None and self.takes(flow, step):
                    key, body = self.key(row, step), step.body
                    limits[key] = quantize(self.number(body["quantity"], row, step) * self.factor(step, row, key[2]))
                    if "rollover" in body:
                        rolled = self.memory("rolled", lambda: None)
                        if rolled[key] is None:
                            rolled[key] = self.rolled(row, step, key, used)
                        limits[key] += rolled[key]
                    measure = self.measure(flow, row, step, flow.quantity)
                    starts.setdefault(key, used.get(key, ZERO))
                    parts.append((flow, key, used[key] - starts[key], measure))
                    used[key] += measure
        free = {}
        for flow, key, before, measure in parts:
            total = used[key] - starts[key]
            given = max(ZERO, min(used[key], limits[key])) - max(ZERO, min(starts[key], limits[key]))
            part = (quantize(given * (before + measure) / total) - quantize(given * before / total)) if total else ZERO
            if part not in (ZERO, measure) and flow.quantity != measure:
                part = quantize(flow.quantity * part / measure)
            free[id(flow)] = flow.quantity if part == measure and part else part
        for row, step in entries:
            row.flows = [out for flow in row.flows
                         for out in (self.split(flow, free[id(flow)], step) if id(flow) in free else [flow])]

    def run_allowance(self, entries):
        if entries and entries[0][1].body.get("attribute") == "pro_rata":
            return self.share_allowance(entries)
        used, used_events = self.memory("used", Fraction), self.memory("events", Fraction)
        for row, step in self.by_turns(entries):
            out = []
            for flow in row.flows:
                if flow.amount is not None or not self.takes(flow, step):
                    out.append(flow)
                    continue
                key = self.key(row, step)
                free = flow.quantity
                body = step.body
                factor = self.factor(step, row, key[2])
                measure, before = self.measure(flow, row, step, flow.quantity), used.get(key, ZERO)
                if measure == 0 and "measure" in body:
                    free = ZERO
                if "quantity" in body:
                    limit = quantize(self.number(body["quantity"], row, step) * factor)
                    if "rollover" in body:
                        rolled = self.memory("rolled", lambda: None)
                        if rolled[key] is None:
                            rolled[key] = self.rolled(row, step, key, used)
                        limit += rolled[key]
                    after = used[key] + measure
                    free = (max(ZERO, min(after, limit))  # returns take from no allowance
                            - max(ZERO, min(used[key], limit)))
                    if "measure" in body and free:
                        free = flow.quantity if free == measure else quantize(flow.quantity * free / measure)
                used[key] += measure  # also by a version that does not ask: another may
                if "events" in body:
                    limit = quantize(self.number(body["events"], row, step) * factor)
                    left = max(ZERO, min(Fraction(flow.events), limit - used_events[key]))
                    if flow.events:
                        share = quantize(flow.quantity * left / flow.events)
                        free = min(free, share, key=abs)
                    elif limit <= 0 or used_events[key] > limit:  # a piece of an event that was not free
                        free = ZERO
                    if flow.quantity == 0 and flow.events and left == flow.events and (
                            "quantity" not in body or before < quantize(
                                self.number(body["quantity"], row, step) * factor)):
                        used_events[key] += flow.events
                        out.append(Flow(row, ZERO, 0).ghost(step))  # nothing of it is left
                        continue
                used_events[key] += flow.events
                out += self.split(flow, free, step)
            row.flows = out

    def rolled(self, row, step, key, used):
        """What is left of the turns since the first with usage: world allowances that roll are plain numbers."""
        rule = step.body["rollover"]
        part, most = (num(rule.get("part", 1)), rule.get("amount")) if isinstance(rule, dict) else (num(rule), None)
        earlier = sorted({k[2] for k in used if (k[0], k[1]) == (key[0], key[1]) and k[2][1] <= key[2][0]})
        out = ZERO
        turn = earlier[0] if earlier else key[2]
        while turn[1] <= key[2][0]:
            here = (key[0], key[1], turn, key[3])
            left = max(ZERO, num(step.body["quantity"]) + out - max(ZERO, used[here] if here in used else ZERO))
            out = quantize(left * part)
            out = out if most is None else min(out, num(most))
            turn = self.setup.turn(step, self.payer, row.account, turn[1], self.contract(row))
        return out

    def split(self, flow, free, step):
        out, rest = [], flow.quantity - free
        if free != 0 and step.body.get("emit") == "free":
            part = Flow(flow.row, free, flow.events if rest == 0 else 0)
            out.append(part.ghost(step))
        elif free != 0:
            if not getattr(flow.row, "is_copy", False):  # told of the first
                self.free.append((flow.row, free, flow.events if rest == 0 else 0))
            out.append(Flow(flow.row, ZERO, 0).ghost(step))
            out[-1].freed = free  # what filters see of it, as where it is a line
        if rest != 0 or free == 0:
            flow.quantity = rest
            out.append(flow)
        return out

    # ---- rating steps ----

    def run_rate(self, entries):
        for row, step in entries:
            out = []
            for flow in row.flows:
                if flow.amount is not None:
                    out.append(flow)
                    continue
                rate, per, flat = self.rate_of(row, flow, step)
                if rate is None:
                    self.unpriced.append(row)
                    continue
                if row.events == 0 and row.meter and "spread" in self.setup.catalog["meters"][row.meter]:
                    flat = ZERO  # later pieces of events, which have paid it
                out.append(flow.charge(step, self.piece(row, flow, step, flow.quantity, rate, per) + flat, rate))
                self.list_at(flow, flow.quantity, per)
            row.flows = out

    @staticmethod
    def list_at(flow, quantity, per=1, first=None):
        """What it would cost at the list rate: what the price says it is, or that of its first tier; else it is its amount."""
        said, flow.listed = flow.row.price.list_rate, flow.amount
        if said is not None:
            flow.listed = quantize(quantity * said / per)
        elif first is not None:
            flow.listed = quantize(quantity * first["rate"] / (first["package"] or 1))

    def rounds_lines(self):
        """Whether lines are rounded: not at the total, and not left exact."""
        own = [item[2] for item in sorted(self.setup.contracts[self.payer], key=lambda item: item[0])
               if item[0] < self.cut[1] and self.cut[0] < item[1] and "rounding" in item[2]]
        is_exact, at = False, "line"
        for said in [self.setup.catalog.get("rounding"), *(contract["rounding"] for contract in own[-1:])]:
            is_exact = said == "exact" or (is_exact and said is None)
            at = at if said in (None, "exact") else said.get("at", at)
        return not is_exact and at == "line"

    def piece(self, row, flow, step, quantity, rate, per, adjusts=False):
        """What 18 digits do not hold goes along a curve, whose values are rounded once: its line's, or, where lines are not rounded,
        one of its account, SKU and price."""
        if quantize(quantity * rate / per) == quantity * rate / per:
            return quantity * rate / per
        key = row.account, row.sku, id(getattr(row.price, "whole", row.price)), id(step), rate
        if self.lines_are_rounded:
            dims, contract = tuple(item for item in row.dims if item[1]), self.contract(row)
            key += (row.unit, dims, contract and contract["id"], getattr(flow, "conversion", None), flow.tier if adjusts else None,
                    (row.span, row.resource) if isinstance(getattr(row, "whole", row), ScopeRow) else
                    (row.slot, row.resource, tuple(getattr(row, "event", ())) if row.price.by_event else ())
                    if row.price.hourly else None)
        before = self.curves.get(key, ZERO)
        self.curves[key] = before + quantity
        return quantize((before + quantity) * rate / per) - quantize(before * rate / per)

    def rate_of(self, row, flow, step):
        """(rate, how many units it is for, flat) of a row; without a rate: it has none."""
        body = step.body
        rate, flat = body.get("rate", 0), body.get("flat", 0)
        if isinstance(rate, dict):
            body = rate
            rate, flat = body.get("rate", 0), body.get("flat", 0)
        if "cases" in body:
            case = next(c for c in body["cases"] if "where" not in c
                        or self.evaluate(c["where"], row, flow, step))
            rate, flat = case.get("rate", 0), case.get("flat", 0)
        elif "series" in body:
            rate = self.point(body, row, flow, step)
        elif "table" in body:
            rate = self.look_up(body, row, flow, step)
        elif "from" in body:
            rate = self.said(body["from"], row, flow, step)
        if rate is not None:
            rate = self.number(rate, row, step)
        return rate, num(body.get("per", 1)), self.number(flat, row, step)

    def run_percent(self, entries):
        for row, step in entries:
            body = step.body
            for flow in row.flows:
                if flow.amount is not None:
                    continue
                rate = self.number(body.get("rate", 0), row, step)
                is_bound = "min" in body or "max" in body
                amount = quantize(flow.quantity * rate / 100) if is_bound else self.piece(row, flow, step, flow.quantity, rate, 100)
                amount += quantize(self.number(body.get("fixed", 0), row, step) * flow.events)
                if "max" in body:
                    amount = min(amount, self.number(body["max"], row, step))
                if "min" in body:
                    amount = max(amount, self.number(body["min"], row, step))
                self.list_at(flow.charge(step, amount, rate), flow.quantity)

    def run_formula(self, entries):
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is None:
                    known = {}

                    for result in step.body.get("results", []):
                        (name, text), = result.items()
                        known[name] = self.said(text, row, flow, step, known)
                    flow.charge(step, quantize(self.said(step.body["amount"], row, flow, step, known)))
                    self.list_at(flow, flow.quantity)

    def point(self, body, row, flow, step):
        """The last point of a series that is not after the row."""
        series = self.setup.catalog["series"][body["series"]]
        values = [self.name(row, flow, step, key) for key in body.get("keys", series["keys"])]
        points = [(self.setup.date(p[0], None), p[-1]) for p in series["points"] if p[1:-1] == values]
        return max([p for p in points if p[0] <= row.time], key=lambda p: p[0], default=(None, None))[1]

    def look_up(self, body, row, flow, step):
        table = self.setup.catalog["tables"][body["table"]]
        values = [self.name(row, flow, step, key) for key in body.get("keys", table["keys"])]
        count = len(values)
        rows = [(self.setup.date((line + [None])[count + 1], times.MIN), line) for line in table["rows"]
                if line[:count] == values]
        start, line = max([r for r in rows if r[0] <= row.time], key=lambda r: r[0], default=(0, None))
        if line is None or row.time >= self.setup.date((line + [None, None])[count + 2], times.MAX):
            return None
        return line[count]

    def tiers(self, step, row):
        """[(from, end or None, end belongs to the next, rate, flat, package)]."""
        out, start, below = [], ZERO, False
        for tier in step.body["tiers"]:
            end = tier.get("up_to", tier.get("below"))
            end = None if end is None else quantize(
                self.number(end, row, step) * self.restarted(step, row, self.turn(row, step)))
            said = rate = self.number(tier.get("rate", 0), row, step)
            if "percent" in tier:
                said = self.number(tier["percent"], row, step)
                rate = said / 100
            is_empty = end is not None and (end < start or (end == start and out != [] and not (below and "below" not in tier)))
            if is_empty:  # it ends below the one before: nothing enters it
                end = start
            out.append({"from": start, "from_in": below, "end": end, "end_in": "below" not in tier,
                        "rate": rate, "said": said, "flat": self.number(tier.get("flat", 0), row, step),
                        "package": self.number(tier["package"], row, step) if "package" in tier else None, "empty": is_empty})
            start, below = end, below if is_empty else "below" in tier
        if out[-1]["end"] is not None and step.body.get("past_last") == "last":
            out[-1].update(end=None, empty=False)
        for tier in out:
            tier["flat"] = ZERO if tier["empty"] else tier["flat"]
        return out

    def packages(self, part, tier, step):
        if tier["package"] is None:
            return part
        mode = {"up": "ceiling", "down": "floor", "nearest": "half_up"}[
            step.body.get("package_round", "up")]
        return quantize(part / tier["package"], 0, mode)

    def component(self, tier, x, step):
        """(quantity, exact amount) of one tier of a graduated curve at x; x None: before any row."""
        if x is None or tier["empty"]:
            return ZERO, ZERO
        part = max(ZERO, (x if tier["end"] is None else min(x, tier["end"])) - tier["from"])
        first = tier["from"] == 0 and not tier["from_in"]
        if first and x < 0:  # below nothing, at the first rate: what an aggregate takes back
            part = x
        entered = x > tier["from"] or (tier["from_in"] and x == tier["from"])
        if first and step.body.get("at_zero") == "charge":
            entered = True
        flat = tier["flat"] if entered else ZERO
        return part, flat + tier["rate"] * self.packages(part, tier, step)

    def volume(self, tiers, x, step, position=None):
        """(tier from 0, amount) of the whole quantity, at the tier of its position."""
        at = x if position is None else position
        for i, tier in enumerate(tiers):
            if tier["empty"]:
                continue
            if tier["end"] is None or at < tier["end"] or (at == tier["end"] and tier["end_in"]):
                break
        else:
            return len(tiers) - 1, ZERO  # past_last: free
        if x == 0 and step.body.get("at_zero") != "charge":
            return i, ZERO
        return i, quantize(tier["flat"] + tier["rate"] * self.packages(x, tier, step))

    def run_tier(self, entries):
        fresh, position = defaultdict(list), self.memory("position", lambda: None)
        buckets = self.memory("whole", dict)
        for row, step in entries:
            out = []
            for flow in row.flows:
                if flow.amount is not None:
                    out.append(flow)
                    continue
                key = self.key(row, step) + ((id(flow),) if step.clock == "row" else ())
                if "position" in step.body:
                    flow.position = quantize(self.said(step.body["position"], row, flow, step))
                    if not self.is_whole(step):
                        out += self.stroll(flow, step, self.memory("strolled", dict)[key])
                        continue
                flow.measured = self.measure(flow, row, step, flow.quantity)
                if self.is_whole(step):
                    if not fresh[key]:
                        self.tiers(step, row)  # its numbers are those that the first row asks
                    fresh[key].append(flow)
                    if not buckets[key]:
                        buckets[key].update(x=ZERO, y=ZERO, rows=0, position=ZERO)
                    buckets[key]["last"] = flow, step
                    out.append(flow)
                    continue
                before = position.get(key)
                position[key] = (before or ZERO) + flow.measured
                out += self.graduate(flow, step, before, position[key])
            row.flows = out
        for key, flows in fresh.items():
            self.run_whole(key, flows)

    def graduate(self, flow, step, before, after):
        """Tier by tier from before to after; F is the sum of all tiers, quantized."""
        out, tiers = [], self.tiers(step, flow.row)
        total = sum((self.component(tier, before, step)[1] for tier in tiers), ZERO)
        for i, tier in enumerate(tiers):
            part0, amount0 = self.component(tier, before, step)
            part1, amount1 = self.component(tier, after, step)
            if part1 != part0 or amount1 != amount0:
                part = Flow(flow.row, part1 - part0, flow.events if not out else 0)
                done, total = quantize(total), total + amount1 - amount0
                out.append(part.charge(step, quantize(total) - done, tier["said"], i + 1))
                self.list_at(part, part.quantity, first=tiers[0])
        end, last = tiers[-1]["end"], len(tiers)
        past = ZERO if end is None else max(ZERO, after - end) - max(ZERO, (before or ZERO) - end)
        if past:  # free, but used: a charge of nothing, as where the rate is 0
            part = Flow(flow.row, past, flow.events if not out else 0)
            out.insert(0 if past < 0 else len(out), part.charge(step, ZERO, ZERO, last))
            self.list_at(part, past, first=tiers[0])
        if "measure" in step.body:
            self.share_quantity(flow, out)
        if not out:
            number = self.standing(tiers, after)
            is_past = tiers[number]["end"] is not None and after > tiers[number]["end"]
            out.append(flow.charge(step, ZERO, ZERO if is_past else tiers[number]["said"], number + 1))
        return out

    @staticmethod
    def standing(tiers, at):
        """In which tier what moves no further is."""
        return max([i for i, t in enumerate(tiers) if i == 0 or not t["empty"] and (
            at > t["from"] or (t["from_in"] and at == t["from"] and at > 0))])

    @staticmethod
    def share_quantity(flow, parts):
        """Of a row that measures something else: each part has its share of the quantity, the last the rest."""
        gone, used, measured = ZERO, ZERO, sum((part.quantity for part in parts), ZERO)
        for part in parts:
            gone += part.quantity
            to = flow.quantity if part is parts[-1] else quantize(flow.quantity * gone / measured)
            part.quantity, used = to - used, to

    def entered(self, tiers, high, step):
        count = sum(1 for t in tiers if high > t["from"] or (t["from_in"] and high == t["from"]))
        return max(count, 1) if step.body.get("at_zero") == "charge" else count

    def stroll(self, flow, step, bucket):
        """Over the positions, each tier with its share of the units."""
        tiers = self.tiers(step, flow.row)
        paid = self.entered(tiers, bucket["high"], step) if bucket else 0
        start, high = bucket.get("x", ZERO), bucket.get("high", ZERO)
        end = start + flow.position
        edges = [t["end"] for t in tiers if t["end"] is not None and min(start, end) < t["end"] < max(start, end)]
        stops = sorted(edges, reverse=end < start) + [end]
        out, at, used = [], start, ZERO
        for stop in stops:
            to = flow.quantity if stop is stops[-1] else quantize(flow.quantity * (stop - start) / flow.position)
            if stop == at:  # no positions: where it stands
                number = self.standing(tiers, at)
            else:
                number = max([i for i, t in enumerate(tiers) if i == 0 or (min(at, stop) >= t["from"] and not t["empty"])])
            past = tiers[number]["end"] is not None and max(at, stop) > tiers[number]["end"]
            rate = ZERO if past else tiers[number]["said"]
            amount = quantize((to - used) * (ZERO if past else tiers[number]["rate"]))
            high = max(high, stop)
            while paid < self.entered(tiers, high, step) and paid <= number:
                amount += tiers[paid]["flat"]
                paid += 1
            part = Flow(flow.row, to - used, ZERO if out else flow.events)
            out.append(part.charge(step, amount, rate, number + 1))
            self.list_at(part, part.quantity, first=tiers[0])
            at, used = stop, to
        while paid < self.entered(tiers, high, step):
            if tiers[paid]["flat"]:  # nothing of the row is in it
                out.append(Flow(flow.row, ZERO, 0).charge(step, tiers[paid]["flat"], tiers[paid]["said"], paid + 1))
                self.list_at(out[-1], ZERO, first=tiers[0])
            paid += 1
        bucket.update(x=end, high=high)
        return out

    # ---- what waits for the end of a turn ----

    def due(self, flow, step, turn):
        """When what a term's bucket waits for is owed: at the latest as the payer pays for nobody any more."""
        due = self.own_due(flow, step, turn)
        if not step.term or step.clock == "row":
            return due
        ends = [end for start, end in self.setup.paid(self.payer) if start < turn[1]]
        return min(due, ends[-1]) if ends and ends[-1] > turn[0] else due

    def own_due(self, flow, step, turn):
        """When a bucket's turn ends, or the contract that it belongs to, or the time of its plan."""
        row, level = flow.row, flow.row.price.level
        contract = self.contract(row)
        if step.term:
            level = step.level
            turn = turn[0], min(turn[1], max(turn[0], step.end))
        if step.scope == "contract" and contract:
            end = self.setup.date(contract.get("to"), times.MAX)
            return end if end < turn[1] and (end > turn[0] or not step.term) else turn[1]  # of a turn behind it nothing was promised
        if step.shared or step.clock == "row" or step.scope == "contract":
            return turn[1]
        if level.startswith("contract/") and contract:  # a shared step's own charge may come later
            return min(turn[1], self.setup.date(contract.get("to"), times.MAX))
        if level.startswith("plan/") and not (step.term and step.scope == "organization"):
            account, end = self.scope_account(flow, step), turn[1]
            for a, b in self.setup.stretches(account):
                if max(a, turn[0]) < min(b, turn[1]):
                    if "plan/%s" % self.setup.plan_of(account, max(a, turn[0]))[0] == level:
                        end = min(b, turn[1])
            return end
        return turn[1]

    def at_end(self, flow, step, due, settles):
        """The step as the version in force when it is due has it, else as the last that had it."""
        if step.shared or step.term or step.clock == "row" or self.restarts(step):
            return step
        price, best = flow.row.price, None
        for other in self.setup.all_prices():
            if (other.level, other.name) != (price.level, price.name) or other.start >= due:
                continue
            for candidate in other.steps:
                if candidate.node == step.node and candidate.unit == step.unit and settles(candidate) and not self.restarts(candidate) and (
                        best is None or other.start > best[0]):
                    best = other.start, candidate
        return best[1] if best else step

    def run_whole(self, key, fresh):
        """A tier whose total is known when all rows are; fresh flows are those of this bill."""
        bucket = self.memory("whole", dict)[key]
        flow, own = bucket["last"]
        due = self.due(flow, own, key[2])
        step = self.at_end(flow, own, due, self.is_whole)
        x0, y0 = bucket["x"], bucket["y"]
        x = x0 + sum((f.measured for f in fresh), ZERO)
        tiers = self.tiers(step, self.of_turn(flow.row, step, key[2]))
        if step.body.get("mode") == "volume":
            position = None
            if "position" in step.body:
                position = bucket["position"] = bucket["position"] + sum((f.position for f in fresh), ZERO)
            number, amount = self.volume(tiers, x, step, position)
            rate = tiers[number]["said"]
        else:
            number = rate = None
            amount = quantize(sum((self.component(t, x, step)[1] for t in tiers), ZERO))
        tier = None if number is None else number + 1
        waits = step.body.get("settle") == "at_end" and due > self.cut[1]
        if waits:
            amount = y0
        bucket.update(x=x, y=amount)
        left = amount - y0
        attribute = self.attribute(step)
        position, done = x0, ZERO
        before = self.volume(tiers, x0, step)[1] if attribute == "in_order" and bucket["rows"] else ZERO
        for f in fresh:
            position += f.measured
            part = ZERO
            if waits or attribute == "none":
                pass
            elif attribute == "in_order":
                after = self.volume(tiers, position, step)[1]
                part, before = after - before, after
            elif x != x0:
                now = quantize((amount - y0) * (position - x0) / (x - x0))
                part, done = now - done, now
            f.charge(step, part, rate, tier)
            left -= part
        for f in fresh:  # what is charged apart from its rows would be so at the list rate, too
            is_apart = left and (attribute == "none" or (attribute == "pro_rata" and x == x0))
            self.list_at(f, ZERO if is_apart else f.measured, first=tiers[0])
        bucket["rows"] += len(fresh)
        if left:
            units = x if step.body.get("settle") == "at_end" else x - x0
            self.on_scope(flow, step, "usage", left, due, tier, own=own, rate=rate)
            new = self.priced[-1].flows[0]
            new.told = ZERO if tier is None else units  # on its line; to steps behind it has none of its own
            self.list_at(new, x - x0 if attribute == "none" else ZERO, first=tiers[0])  # those of other bills have theirs

    def attribute(self, step):
        return step.body.get("attribute",
                             "pro_rata" if step.body.get("mode") == "volume" else "in_order")

    def is_whole(self, step):
        return step.kind == "tier" and (step.body.get("mode") == "volume"
                                        or self.attribute(step) != "in_order")

    def scope_contract(self, flow, step, at):
        """Of a contract's own price, that; else the one that the scope's account has at an instant."""
        if step.term or (not step.shared and flow.row.price.level.startswith("contract/")):
            return self.contract(flow.row)
        return self.setup.contract_under(self.scope_account(flow, step), self.payer, at)

    def scope_account(self, flow, step):
        """The account that a charge on the bucket's scope is of."""
        row = flow.row
        if step.scope == "organization":
            return self.payer
        if step.scope == "contract":
            contract = self.contract(row)
            return contract["buyer"] if contract else self.payer
        return row.account

    def on_scope(self, flow, step, kind, amount, due, tier=None, sku=None, rate=None, own=None):
        """A charge of its own on the bucket's scope, at the last instant of the turn that is in this bill.  Later steps
        of the price in force then take it; a shared step's is of the first price that passes it.  own is the step as it
        was when the bucket opened: another version may have another scope."""
        own = own or step
        at, account = min(due, self.cut[1]) - 1, self.scope_account(flow, own)
        turn = self.turn(flow.row, own)
        span = max(turn[0], self.cut[0]), min(turn[1], self.cut[1])
        alone = step.clock == "row"  # its turn is the row's own instant: nobody else is in it
        if alone:
            at = flow.row.time
        price, pooled = flow.row.price, step.shared and "sku" not in step.by and not alone
        if pooled:
            price = min((p for p in self.setup.all_prices() if p.passes(step.node)), key=lambda p: (
                p.level != "catalog", p.level.encode(), p.name.encode(), p.start))
        fits = [p for p in self.setup.all_prices() if not self.restarts(step) and not alone
                and (p.level, p.name) == (price.level, price.name)
                and p.start < due and p.passes(step.node, step)]
        price = max(fits, key=lambda p: p.start) if fits else price
        price = next((part for part in price.parts if part.passes(step.node)), price)
        new = Flow(None, ZERO, 0).charge(step, amount, rate, tier)
        new.kind = kind
        row = ScopeRow(account, sku or ("" if pooled else flow.row.sku), at, price, new, self.scope_contract(flow, own, at), span)
        self.split_keys(row, flow.row, own)
        row.unit = flow.row.unit if step.kind == "tier" else ""  # others are of money
        self.priced.append(row)

    @staticmethod
    def split_keys(row, of, step):
        """The keys that split the bucket, which a charge on its scope has."""
        if step.scope == "resource" or "resource" in step.by:
            row.resource = of.resource
        row.dims = tuple((k, v) for k, v in of.dims if (k in step.by or "dims." + k in step.by) and v)

    # ---- charge steps ----

    def run_bound(self, entries):
        position, buckets = self.memory("position", Fraction), self.memory("buckets", list)
        fresh = self.fresh
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is None or (step.term and flow.is_ghost) or not self.takes(flow, step):
                    continue
                key = self.key(row, step)
                measure = ZERO if flow.is_ghost else self.measure(flow, row, step, flow.net())  # it is no charge
                buckets[key].append((flow, step, measure))  # what later steps do is not its
                fresh[key].append((flow, measure))
                if "min" in step.body:  # by the first row
                    self.number(step.body["min"], row, step, flow)
                if "max" not in step.body or (flow.is_ghost and not flow.quantity and not any(
                        s.kind == "bound" and "min" in s.body for s in row.price.steps)):  # on no line, and no minimum asks for it
                    continue
                limit = quantize(self.number(step.body["max"], row, step)
                                 * self.factor(step, row, key[2]))
                before = position[key]
                after = position[key] = before + measure
                change = min(after, limit) - min(before, limit) - measure
                flow.adjust(step.name, "cap", change)
                self.memory("capped", Fraction)[key] += change
        for key, (row, step) in self.opened.items():
            if "min" in step.body and not buckets[key]:
                buckets[key].append((self.flow_of(row), step, ZERO))

    def settle(self):
        """What is due in this bill, also when nothing touched its bucket in it."""
        self.settle_changes()
        self.settle_commits()
        self.settle_fees()
        for key, bucket in self.memory("whole", dict).items():
            flow, step = bucket["last"]
            if self.cut[0] < self.due(flow, step, key[2]) <= self.cut[1] and self.at_end(
                    flow, step, self.due(flow, step, key[2]), self.is_whole).body.get("settle"):
                self.run_whole(key, [])
        paid = self.memory("paid", Fraction)
        for key, flows in self.memory("buckets", list).items():
            flow, last, _ = flows[-1]
            due = self.due(flow, last, key[2])
            step = self.at_end(flow, last, due, lambda s: "min" in s.body)
            is_now = self.cut[0] < due <= self.cut[1] or (due <= self.cut[0] and self.fresh[key])  # what comes behind it counts, too
            is_now = is_now or (step.body.get("settle") == "now" and due > self.cut[1] and self.fresh[key])  # the next bill corrects it
            if "min" not in step.body or not is_now:
                continue
            least = quantize(self.number(step.body["min"], self.of_turn(flow.row, step, key[2]), step)
                             * self.factor(step, flow.row, key[2],
                                           (self.scope_account(flow, step),
                                            self.scope_contract(flow, step, due - 1))))
            total = sum((net for _, _, net in flows), ZERO) + self.memory("capped", Fraction)[key]
            change = max(ZERO, least - total) - paid[key]
            paid[key] += change
            if not change:
                continue
            if step.body.get("attribute") == "pro_rata":
                change -= self.spread_minimum(step, self.fresh[key], change)
            self.emit(flow.row, step, key, "minimum", change, due, own=last)
        self.fresh = defaultdict(list)

    @staticmethod
    def spread_minimum(step, flows, change):
        """Over the charges of the bucket in this bill, along the chord of what they come to; what was spread."""
        total = sum((net for _, net in flows), ZERO)
        at = done = ZERO
        if total == 0:
            return ZERO
        for flow, net in flows:
            at += net
            now = quantize(change * at / total)
            flow.adjust(step.name, "minimum", now - done)
            done = now
        return done

    def run_round(self, entries):
        position, lines = self.memory("position", Fraction), defaultdict(Fraction)
        for row, step in entries:
            body = step.body
            digits, mode = int(body.get("digits", self.minor(row))), body.get("mode", "half_up")
            for flow in row.flows:
                if flow.amount is None or not self.takes(flow, step):
                    continue
                before, key, measure = ZERO, None, self.measure(flow, row, step, flow.net())
                if body.get("at", "row") == "bucket":
                    key = self.key(row, step)
                    before = position[key]
                    position[key] += measure
                elif body.get("at") == "line":  # of this bill
                    key = self.line_key(row, flow, step)
                    before = lines[key]
                    lines[key] += measure
                after = before + measure
                change = self.rounded(after, body, digits, mode) - self.rounded(before, body, digits, mode) - measure
                if step.term or flow.kind == "covered" or str(body.get("show", False)).lower() == "true":
                    flow.adjust(step.name, "rounding", change)
                else:
                    flow.amount += change

    @staticmethod
    def rounded(x, body, digits, mode):
        unit = Fraction(1, 10 ** digits)
        return unit if body.get("small") == "up" and 0 < x < unit else quantize(x, digits, mode)

    def line_key(self, row, flow, step):
        contract = self.contract(row)
        dims = tuple(item for item in row.dims if item[1])  # what a meter lacks is as what is empty
        return (row.account, row.sku, row.unit, id(getattr(row.price, "whole", row.price)), dims, getattr(flow, "conversion", None), flow.tier, flow.rate, flow.step, flow.kind, flow.grant,
                self.turn(row, step), contract and contract["id"],
                (row.span, row.resource) if isinstance(getattr(row, "whole", row), ScopeRow) else
                (row.slot, row.resource, tuple(getattr(row, "event", ())) if row.price.by_event else ())
                if row.price.hourly else None)

    # ---- fixed amounts ----

    def fixed(self):
        for account in sorted(self.setup.accounts):
            for fee in self.parts(account):
                self.fix(account, *fee)

    def parts(self, account):
        """(fee, from, to): the longest times in which this payer pays one fee for the account, and asks one contract."""
        open_parts = {}
        for start, end in self.setup.stretches(account):
            now = {}
            contract = self.setup.contract(account, start)
            if self.setup.payer(account, start) == self.payer:
                for fee in self.setup.fees(account, start):
                    if fee.holder == account:
                        asks = contract is not None and ("contract." in str(fee.step.body) or fee.step.by_contract(self.setup))
                        key = fee, contract["id"] if asks else None
                        now[key] = open_parts.pop(key, start)
            for (fee, _), since in open_parts.items():
                yield fee, since, start
            open_parts = now
        for (fee, _), since in open_parts.items():
            yield fee, since, times.MAX

    def fix(self, account, fee, start, end):
        body = fee.step.body
        for item in body.get("installments", []):
            at = self.setup.date(item["date"], None)
            if start <= at < end and self.cut[0] <= at < self.cut[1]:
                self.fee(fee, account, Fraction(1), ZERO, at, (at, end), item["amount"])
        if "installments" in body:
            return
        if body.get("when") == "once":
            before = times.MIN
            if fee.kind == "contract":
                before = self.setup.date(fee.contract.get("from"), times.MIN)
            if self.cut[0] <= start < self.cut[1] and not self.same(account, fee, before, start):
                self.fee(fee, account, Fraction(1), ZERO, start, (start, start))
            return
        at = max(start, self.cut[0] - 1)
        while at < end and at <= self.cut[1]:
            turn = self.setup.turn(fee.step, self.payer, account, at)
            first, last = max(start, turn[0]), min(end, turn[1])
            if body.get("when") == "in_advance":
                due, others = self.cut[0] <= first < self.cut[1], (turn[0], first)
            else:
                due, others = self.cut[0] < last <= self.cut[1], (last, turn[1])
            when = first if body.get("when") == "in_advance" else last - 1
            if due and body.get("prorate", "none") != "none":
                self.fee(fee, account, *self.along(fee.step, first, last, self.measured(fee.step, first, turn), last == turn[1]), when, (first, last))
            elif due and not self.same(account, fee, *others, self.setup.contract(account, first)):
                self.fee(fee, account, Fraction(1), ZERO, when, (first, last))
            at = turn[1]

    def measured(self, step, first, turn):
        """What a part is a part of: its turn; with `stub: back`, for a first part, one turn counted back from its end."""
        if step.body.get("stub", "turn") != "back" or first == turn[0]:
            return self.setup.whole_turn(step, self.payer, turn)
        clock = next(span[2] for span in self.setup.billings(self.payer) if span[0] <= turn[0] < span[1])  # not where the whole one begins
        turn = self.setup.whole_turn(step, self.payer, turn)
        day, rest = times.civil(turn[1], self.setup.zone)
        if step.clock != "period":
            every = self.setup.catalog.get("clocks", {}).get(step.clock, {}).get("every", step.clock).split()
            every = {"contract_year": "year"}.get(every[-1], every[-1]).rstrip("s"), int(every[0]) if len(every) > 1 else 1
            clock = times.Clock(*every, None, self.setup.zone)
        if clock.every not in clock.MONTHS:  # turns of days are of one length
            return turn
        return times.instant(times.add_months(day, -clock.count * clock.MONTHS[clock.every]), rest, self.setup.zone), turn[1]

    def along(self, step, first, last, turn, is_end):
        """The factors at a part's end and start: parts of a turn add up."""
        if "digits" in step.body or step.body["prorate"] == "day_inclusive":
            return self.part(step, [(first, last)], turn, last if is_end else None), ZERO
        return tuple(self.part(step, [(turn[0], at)], turn, None) for at in (last, first))

    def same(self, account, fee, start, end, contract=None):
        """Whether in that time another fee stands for one that is charged once; in a contract's turn, under that contract."""
        body = fee.step.body
        is_of_turn = body.get("when") != "once" and fee.step.by_contract(self.setup)
        for a, b in self.setup.stretches(account):
            if max(a, start) >= min(b, end) or (is_of_turn and self.setup.contract(account, a) is not contract):
                continue
            for other in self.setup.fees(account, a):
                its = other.step.body
                if not other.stands_for(fee) or its.get("when", "in_arrears") != body.get(
                        "when", "in_arrears"):
                    continue
                if other.step.scope == "organization" and other.holder != account:
                    continue
                if "installments" in its:
                    continue
                if body.get("when") == "once":
                    if fee.kind != "contract" or (other.kind == "contract" and
                                                  other.contract is fee.contract):
                        return True
                elif its.get("prorate", "none") == "none" and other.step.clock == fee.step.clock:
                    return True
        return False

    def fee(self, fee, account, factor, before, at, span, amount=None):
        price, step = fee.price, fee.step
        contract = fee.contract or self.setup.contract(account, at)
        sku = price.skus[0] if price.skus else ""
        flow = Flow(None, ZERO, 0).charge(step, ZERO)
        flow.kind, flow.factor = "fee", factor - before
        row = FixedRow(account, sku, at, price, flow, contract, span)
        flow.quantity = self.number(step.body.get("quantity", 1), row, step)
        whole = quantize(self.number(step.body["amount"] if amount is None else amount, row, step) * flow.quantity)
        flow.amount = quantize(whole * factor) - quantize(whole * before)
        self.priced.append(row)  # one of nothing, too: terms see it

    def commitments(self):
        """What commitments cost: at once as they begin, and for each turn of their clock."""
        for commitment in sorted(self.known_commitments(), key=lambda c: c.id.encode()):
            offering, price = commitment.offering, TermPrice("catalog")
            price.name, price.currency = commitment.name, self.setup.catalog.get("currency", "USD")
            cover = self.cover_of(commitment)
            clock = offering.get("clock", cover.clock if cover else "hour")
            step = Step({"commitment": dict(offering, clock=clock)}, ("commitment",), None)

            def charge(name, at, span, count=1, commitment=commitment, step=step, price=price):
                flow = Flow(None, ZERO, 0).charge(step, commitment.fee(name) * count)
                flow.step, flow.kind, flow.quantity, flow.grant, flow.effective = name, "commitment", commitment.count() * count, commitment.id, ZERO
                flow.rate = quantize(commitment.fee(name) / (commitment.count() or 1))
                if flow.amount:
                    self.priced.append(FixedRow(commitment.account, "", at, price, flow,
                                                self.setup.contract(commitment.account, at), span))
            start = commitment.start
            if self.cut[0] <= start < self.cut[1] and self.setup.payer(commitment.account, start) == self.payer:
                charge("upfront", start, (start, start))
            if not commitment.fee("recurring"):
                continue
            runs = []  # of turns that follow each other under one contract: they stand on one line
            for at, turn in self.turns_of(commitment, step):
                contract = self.setup.contract(commitment.account, at)
                if not runs or runs[-1][1] != at or runs[-1][3] is not contract:
                    runs.append([at, turn[1], [], contract])
                runs[-1][1] = turn[1]
                runs[-1][2].append(at)
            for start, end, ats, _ in runs:
                end = min(end, commitment.end)
                if self.setup.terms:  # which see each turn at its time
                    for at in ats:
                        charge("recurring", at, (start, end))
                else:
                    charge("recurring", start, (start, end), len(ats))

    # ---- what is compared ----

    def sums(self):
        """{(account, sku, price, step, kind, tier, grant): exact amount}, without zeros."""
        out = defaultdict(Fraction)
        for c in self.charges:
            out[(c.account, c.sku, c.price, c.step, c.kind, c.tier, c.grant)] += c.amount
        return {key: amount for key, amount in out.items() if amount}

    def total(self):
        return sum((c.amount for c in self.charges), ZERO)
