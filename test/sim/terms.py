"""The naive rater: steps on charges, the same in a price, in a shared step and in the terms of a plan, a contract or the
catalog.

A term sees every charge made before it.  It changes none: what it adds is an adjustment of a charge, or a charge of its
own on a bucket's scope."""
import copy
from collections import defaultdict
from fractions import Fraction

import times
from exact import num, quantize
from setting import Kind

ZERO, ONE = Fraction(0), Fraction(1)
WAITING = ("bound", "commit", "fee")  # terms that owe something where nothing was used


class TermRow:
    """Where a term's bucket is open although nothing has touched it: an account and an instant."""
    resource, dims, meter, sku, events, unit = "", (), "", "", 0, ""

    def __init__(self, account, time, contract, price):
        self.account, self.time, self.contract, self.price, self.flows = account, time, contract, price, []


def truth(value):
    return str(value).lower() == "true"


class ChargeSteps:
    """What Bill does on charges.  entries are [(row, step)] in their order; a row has its flows."""

    # ---- terms ----

    def run_terms(self):
        for row in self.priced:
            for flow in row.flows:
                flow.gross = flow.net()
        self.left_out = defaultdict(set)  # exclusive group: flows that are taken
        self.won = defaultdict(Fraction)  # of a term and its bucket, what it will take as the best of a group
        for level, steps in self.setup.terms:
            for step in steps:
                self.node = step.node
                rows = [row for row in self.priced if self.setup.in_force(level, row.account, row.time,
                                                                          self.contract(row))]
                if "charges(" in str(step.body):
                    self.count_charged(step)
                self.opened = self.open(level, step) if step.kind in WAITING else {}
                self.sold_to = self.buyers(level, step) if step.kind == "credit" else {}
                self.level, self.sold_step = level, step
                entries = [(row, step) for row in sorted(rows, key=self.term_place)]
                self.run_step(step.kind, self.sorted_parts(entries) if entries and "order" in step.body and step.kind != "credit" else entries)
                self.settle()
        self.opened, self.level = {}, None

    def count_charged(self, step):
        """What there is of charges as a step begins to run; on a longer clock those of bills before are counted, too."""
        self.memories.setdefault((step.node, "charged"), {})[self.cut] = [
            ((row.sku, flow.step, self.setup.product.get(row.sku)), self.bucket_scope(row, step), self.turn(row, step), flow.net())
            for row in self.priced if self.setup.in_force(step.level, row.account, row.time, self.contract(row))
            for flow in row.flows if flow.amount is not None]

    def run_step(self, kind, entries):
        getattr(self, "run_" + kind)(entries)

    def term_place(self, row):
        flow = row.flows[0] if row.flows else None
        return (row.time, row.account.encode(), row.resource.encode(), row.sku.encode(),
                self.dims_place(row), not hasattr(row, "slot"), row.meter.encode(),
                getattr(row, "event", []), getattr(row, "term_number", -1),  # those of terms behind those of prices
                self.step_place(row, flow),
                row.price.name.encode(), row.price.start, (flow.step or "").encode() if flow else b"",
                *self.own_place(row, flow))

    @staticmethod
    def own_place(row, flow):
        """What tells charges of one step apart: contract, commitment or grant, tier, time and amount."""
        if flow is None or hasattr(row, "slot"):
            return ()
        span = getattr(row, "span", (0, 0))
        return row.contract["id"].encode() if row.contract else b"", flow.grant.encode(), flow.tier or times.MAX, span[0], flow.amount or ZERO

    def open(self, level, step):
        """{key: (row, step)} of the buckets that a term has, whether anything was used or not, due in this bill or still open."""
        out = {}
        if step.by or step.scope == "resource" or step.clock == "row" or not any(
                self.setup.payer(account, max(start, self.cut[0])) == self.payer for account in self.setup.accounts
                for start, end in self.setup.stretches(account) if max(start, self.cut[0]) < min(end, self.cut[1])):
            return out  # nobody is the payer's any more: no bill
        for account in sorted(self.setup.accounts):
            if step.scope == "account" and account in self.setup.bare:
                continue
            for start, end in self.setup.stretches(account):
                start, end = max(start, step.start), min(end, step.end, self.cut[1])
                if start >= end or self.setup.payer(account, start) != self.payer:
                    continue
                since, contract = self.setup.since(account), self.setup.contract(account, start)
                if (since is not None and start < since) or not self.setup.in_force(level, account, start, contract):
                    continue
                at = max(start, self.cut[0])
                if end <= self.cut[0]:  # over, and its turn may be due now
                    at = end - 1
                while at < end:
                    row = TermRow(account, at, contract, step.price)
                    key = self.key(row, step)
                    if key[2][1] > self.cut[0]:
                        out.setdefault(key, (row, step))
                    at = key[2][1]
        return out

    def taken(self, entries):
        """(row, step, flow) of the charges that a step takes."""
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is not None and not flow.is_ghost and self.takes(flow, step) and not self.is_taken(
                        flow, step):
                    yield row, step, flow

    def is_taken(self, flow, step):
        """Of an exclusive group only one term applies to a charge."""
        group = step.body.get("exclusive")
        if group is None:
            return False
        if step.body.get("best") == "buyer" or self.is_best(group):
            return self.best(group, flow, step) is not step
        return flow in self.left_out[group]

    def is_best(self, group):
        return any(s.body.get("exclusive") == group and s.body.get("best") for _, steps in self.setup.terms
                   for s in steps)

    def best(self, group, flow, first):
        """The term that saves most on a charge as it is when the first of the group comes, of that one and those behind it;
        the first of equals."""
        if not hasattr(flow, "best"):
            flow.best = {}
        if flow.best.get(group) is None:
            most, has_come = None, False
            for level, steps in self.setup.terms:
                for step in steps:
                    row, has_come = flow.row, has_come or step is first
                    if not has_come or step.body.get("exclusive") != group or not self.takes(flow, step) or not (
                            self.setup.in_force(level, row.account, row.time, self.contract(row))):
                        continue
                    saving, place = self.saving(flow, step)
                    if saving is not None and (most is None or saving > most[0]):
                        most = saving, step, place
            if most:
                self.won[most[2]] += self.base(flow, most[1])
            flow.best[group] = most and most[1]
        return flow.best[group]

    def saving(self, flow, step):
        """What a percentage takes off a charge, behind what it has taken and those that it will take; None when it is over."""
        row, base, limit = flow.row, self.base(flow, step), step.body.get("limit", {})
        if "turns" in limit and not self.in_first_turns(row, step, int(num(limit["turns"]))):
            return None, None
        node, self.node = self.node, step.node
        key, before = self.key(row, step), ZERO
        if "amount" in limit or not self.goes_in_order(step.body):
            before = self.won[step.node, key]
            before += (self.memory("position", Fraction)[key] if self.goes_in_order(step.body)
                       else self.memory("whole change", dict)[key].get("x", ZERO))
        most = self.most(step, row, key) if "amount" in limit else None

        def worth(x):
            return self.off(row, step, x) if most is None else self.within(self.off(row, step, x), most)
        sign = 1 if step.kind == "markup" else -1
        change = self.held(step, flow, sign * (worth(before + base) - worth(before)))
        self.node = node
        return -change, (step.node, key)

    def base(self, flow, step):
        return self.measure(flow, flow.row, step, self.worth(flow, step))

    @staticmethod
    def worth(flow, step):
        if step.body.get("base", "net") == "gross":
            return getattr(flow, "gross", flow.amount)
        return flow.net()

    def emit(self, row, step, key, kind, amount, due, tier=None, sku=None, rate=None, own=None):
        """A charge of its own on the scope of a bucket, of the step that has opened it."""
        if not amount:
            return
        flow = self.flow_of(row)
        if not step.term:
            self.on_scope(flow, step, kind, amount, due, tier, sku, rate, own)
            return
        new = self.flow_of(None).charge(step, amount, rate, tier)
        new.kind, new.gross = kind, amount
        account, at = self.scope_account(flow, step), row.time if step.clock == "row" else min(due, self.cut[1]) - 1
        contract = (self.contract(row) if self.is_of_contract(step)
                    else self.setup.contract_under(account, self.payer, at))
        span = max(key[2][0], self.cut[0]), min(key[2][1], self.cut[1])
        made = self.scope_row(account, sku or "", at, step.price, new, contract, span)
        made.term_number = step.number
        self.split_keys(made, row, step)
        self.priced.append(made)

    @staticmethod
    def is_of_contract(step):
        """Whose charges on a scope are of the contract, whoever has the account then."""
        return step.level.startswith("contract/") or step.scope == "contract"

    # ---- discount and markup ----

    def run_discount(self, entries):
        self.change(entries, -1)

    def run_markup(self, entries):
        self.change(entries, 1)

    def change(self, entries, sign):
        fresh = defaultdict(list)
        for row, step, flow in list(self.taken(entries)):
            body, base = step.body, self.base(flow, step)
            if "quantity" in body:
                self.units_off(row, step, flow, sign)
            elif "percent" in body and self.goes_in_order(body) and "amount" not in body.get("limit", {}):  # without memory
                if "turns" not in body.get("limit", {}) or self.in_first_turns(row, step, int(num(body["limit"]["turns"]))):
                    percent = self.number(body["percent"], row, step)
                    self.limited(row, step, flow, sign * self.piece(row, flow, step, base, percent, 100, True))
            elif self.goes_in_order(body) and "amount" in body and sign > 0:  # all of it on the first charge
                on_top, key = self.memory("on top", Fraction), self.key(row, step)
                if not on_top[key]:
                    on_top[key] = self.limited(row, step, flow, self.whole_amount(row, step))
            elif self.goes_in_order(body):
                x, key = self.memory("position", Fraction), self.key(row, step)
                before, x[key] = x[key], x[key] + base
                self.limited(row, step, flow, sign * (self.off(row, step, x[key]) - self.off(row, step, before)))
            else:
                fresh[self.key(row, step)].append((row, step, flow, base))
        for key, group in fresh.items():
            self.whole_change(key, group, sign)

    @staticmethod
    def goes_in_order(body):
        if body.get("attribute", "in_order") != "in_order":
            return False
        return "percent" in body or ("tiers" in body and body.get("mode", "graduated") == "graduated") or (
            "amount" in body and body.get("attribute") == "in_order")

    def is_whole_change(self, step):
        body = step.body
        return step.kind in ("discount", "markup") and "quantity" not in body and not self.goes_in_order(body)

    def off(self, row, step, x):
        if "amount" in step.body:  # charge by charge
            return max(ZERO, min(x, self.whole_amount(row, step)))
        if "tiers" in step.body:
            return self.curve(self.tiers(step, row), x, step)
        return quantize(x * self.number(step.body["percent"], row, step) / 100)

    def whole_amount(self, row, step):
        return quantize(self.number(step.body["amount"], row, step) * self.limit_part(step, row, self.key(row, step)))

    def curve(self, tiers, x, step):
        return quantize(sum((self.component(tier, x, step)[1] for tier in tiers), ZERO))

    def limited(self, row, step, flow, change):
        """A discount up to an amount in a turn, or in the first turns of the contract or account."""
        limit = step.body.get("limit", {})
        if "turns" in limit and not self.in_first_turns(row, step, int(num(limit["turns"]))):
            return ZERO
        if "amount" in limit:
            used, key = self.memory("limit", Fraction), self.key(row, step)
            most = self.most(step, row, key)
            before, used[key] = used[key], used[key] + change
            change = self.within(used[key], most) - self.within(before, most)
        self.put(step, flow, change)
        return change

    def most(self, step, row, key):
        """The limit of a turn in money, or its part."""
        return quantize(self.number(step.body["limit"]["amount"], row, step) * self.limit_part(step, row, key))

    def limit_part(self, step, row, key):
        """The part of a turn in which a discount holds."""
        if truth(step.body.get("prorate", "none")):
            return ONE
        return self.factor(step, row, key[2], (self.scope_account(self.flow_of(row), step), self.contract(row)))

    def fixed_part(self, step, row, turn):
        """The part of a turn in which this payer pays the fixed amount that a step is on, by any version that has the step."""
        price, account = row.price, row.account
        fixed = next((s for s in price.steps if s.kind == "fixed"), None)
        if fixed is None or fixed.body.get("prorate", "none") == "none":
            return ONE
        is_back = fixed.body.get("stub", "turn") == "back"
        parts, last = [], None
        for start, end in self.setup.stretches(account):
            start, end = max(start, turn[0]), min(end, turn[1])
            if start >= end or self.setup.payer(account, start) != self.payer:
                continue
            paid = next((fee for fee in self.setup.fees(account, start)
                         if fee.holder == account and (fee.price.level, fee.price.name) == (price.level, price.name)
                         and any(s.node == step.node for s in fee.price.steps)), None)
            if paid is None:
                continue
            contract = self.setup.contract(account, start)
            asks = contract is not None and "contract." in str(fixed.body)
            whose = paid.price, paid.contract and paid.contract["id"], contract["id"] if asks else None
            if parts and parts[-1][1] == start and (whose == last or not is_back):
                start = parts.pop()[0]
            parts.append((start, end))
            last = whose
        like = copy.copy(step)
        like.body = {key: fixed.body[key] for key in ("prorate", "digits", "mode", "stub") if key in fixed.body}
        if is_back:  # each is measured by itself
            return sum((self.part(like, [part], self.measured(like, part[0], turn), turn[1]) for part in parts), ZERO)
        return self.part(like, parts, self.setup.whole_turn(step, self.payer, turn), turn[1])

    @staticmethod
    def within(y, most):
        return max(-most, min(y, most))

    def put(self, step, flow, change):
        change = self.held(step, flow, change)
        if change and "exclusive" in step.body:
            self.left_out[step.body["exclusive"]].add(flow)
        flow.adjust(step.name, step.kind, change)

    def held(self, step, flow, change):
        """On a charge; a discount on what was before all terms takes no more than there is."""
        if step.kind == "discount" and (step.body.get("base") == "gross" or "measure" in step.body):
            base = self.worth(flow, step)
            if base > 0 > change:
                change = max(change, min(-flow.net(), ZERO))
            elif base < 0 < change:
                change = min(change, max(-flow.net(), ZERO))
        return change

    def in_first_turns(self, row, step, turns):
        contract, account = self.contract(row), row.account
        if step.scope in ("organization", "contract"):  # whoever of those who share it comes first
            account = self.scope_account(self.flow_of(row), step)
        if step.scope == "organization" and not (step.term and step.level.startswith("contract/")):
            contract = self.setup.contract(self.payer, self.key(row, step)[2][0])
        starts = [self.setup.date(contract.get("from"), None) if contract else None, self.setup.since(account)]
        start = max((at for at in starts if at is not None), default=None)
        if start is None:
            return True
        at = self.setup.turn(step, self.payer, account, start, contract)
        first = at[0]  # what was used before is in none of them
        for _ in range(turns - 1):
            at = self.setup.turn(step, self.payer, account, at[1], contract)
        return first <= row.time < at[1]

    def units_off(self, row, step, flow, sign):
        """Units at the row's rate."""
        used, key = self.memory("units", Fraction), self.key(row, step)
        limit = quantize(self.number(step.body["quantity"], row, step) * self.limit_part(step, row, key))
        units = self.measure(flow, row, step, flow.quantity)
        before, used[key] = used[key], used[key] + units
        part = max(ZERO, min(used[key], limit)) - max(ZERO, min(before, limit))
        self.limited(row, step, flow, sign * quantize(part * self.worth(flow, step) / units) if part else ZERO)

    @staticmethod
    def unit_price(flow):
        return flow.net() / flow.quantity if flow.quantity else ZERO

    def whole_change(self, key, group, sign):
        """An amount, or a percentage of the whole, spread over the charges of the bucket by the chord."""
        bucket = self.memory("whole change", dict)[key]
        if group:
            bucket["last"] = group[-1][0], group[-1][1], group[0][2].factor
        row, own, factor = bucket["last"]
        due = self.due(self.flow_of(row), own, key[2])
        step = self.at_end(self.flow_of(row), own, due, self.is_whole_change)
        body = step.body
        x0, y0 = bucket.get("x", ZERO), bucket.get("y", ZERO)
        x = x0 + sum((base for *_, base in group), ZERO)
        asks = self.asking(row, step, due, key[2])
        if "tiers" in body and body.get("mode") == "volume":
            y = self.volume(self.tiers(step, asks), x, step)[1]
        elif "amount" not in body:
            y = self.off(asks, step, x)
        elif truth(body.get("prorate", False)):
            y = quantize(self.number(body["amount"], row, step) * self.fixed_part(step, row, key[2]))
        else:
            y = quantize(self.number(body["amount"], row, step) * self.factor(step, row, key[2], (
                self.scope_account(self.flow_of(row), step), self.contract(row))))
        if sign < 0 and "amount" in body:
            y = max(ZERO, min(y, x))
        limit = body.get("limit", {})
        if "amount" in limit:
            y = self.within(y, self.most(step, row, key))
        is_over = "turns" in limit and not self.in_first_turns(row, step, int(num(limit["turns"])))
        y = ZERO if is_over else y
        waits = body.get("settle") == "at_end" and due > self.cut[1]
        y = y0 if waits else y
        bucket.update(x=x, y=y, settled=not waits)
        if "exclusive" in body and not is_over and (y or body.get("settle") == "at_end"):
            self.left_out[body["exclusive"]].update(flow for _, _, flow, _ in group)
        position, done, left = x0, ZERO, y - y0
        attribute = body.get("attribute", "pro_rata")
        for row, _, flow, base in group:
            position += base
            part = ZERO
            if attribute == "pro_rata" and x != x0:
                now = quantize((y - y0) * (position - x0) / (x - x0))
                part, done = now - done, now
            self.put(step, flow, sign * part)
            left -= part
        if left:
            self.emit(row, step, key, step.kind, sign * left, due, own=own)

    def settle_changes(self):
        for key, bucket in list(self.memory("whole change", dict).items()):
            row, step, _ = bucket["last"]
            if not bucket["settled"] and self.cut[0] < self.due(self.flow_of(row), step, key[2]) <= self.cut[1]:
                self.whole_change(key, [], -1 if step.kind == "discount" else 1)

    # ---- commit ----

    def run_commit(self, entries):
        entries = self.by_turns(entries)
        buckets = self.memory("commits", dict)
        for key, (row, step) in self.opened.items():
            if not buckets[key]:
                buckets[key].update(x=ZERO, paid=ZERO, last=(row, step))
        for row, step, flow in self.taken(entries):
            body, key = step.body, self.key(row, step)
            bucket = buckets[key]
            if not bucket:
                bucket.update(x=ZERO, paid=ZERO)
            bucket["last"], bucket["touched"] = (row, step), self.cut
            units = "quantity" in body
            before = bucket["x"]
            after = bucket["x"] = before + self.measure(flow, row, step, flow.quantity if units else flow.net())
            limit = self.promised(row, step, key)
            if truth(body.get("prepaid", False)):
                limit += self.carried(key, row, step)
                flow.adjust(step.name, "credit", min(before, limit) - min(after, limit), grant=step.name)
            factor = self.number(body.get("overage", 1), row, step) - 1
            over = max(after, limit) - max(before, limit)
            if units:
                if flow.quantity:  # the last unit; its cost goes on in the closing
                    bucket["rate"] = quantize(self.unit_price(flow))
                flow.adjust(step.name, "overage", quantize(quantize(over * factor) * self.unit_price(flow)))
            else:
                change = quantize(factor * (max(after, limit) - limit)) - quantize(factor * (max(before, limit) - limit))
                flow.adjust(step.name, "overage", change)
        for key, (row, step) in self.opened.items():
            if truth(step.body.get("prepaid", False)):
                self.prepay(key, row, step)

    def prepay(self, key, row, step):
        """The fee of a turn as the term comes into force in it, for the first of those who share the bucket."""
        contract = self.contract(row)
        is_own = self.is_of_contract(step)  # without one, too
        accounts = [row.account] if step.scope == "account" else sorted(self.setup.accounts)
        parts = [(account, max(s, key[2][0])) for account in accounts for s, e in self.setup.stretches(account)
                 if max(s, key[2][0]) < min(e, key[2][1])]
        start = min((at for account, at in parts if self.setup.payer(account, at) == self.payer
                     and self.holds(self.level, account, at)
                     and (not is_own or self.setup.contract(account, at) is contract)), default=None)
        if start is None or not self.cut[0] <= start < self.cut[1]:
            return
        amount = self.promised(row, step, key)
        new = self.flow_of(None).charge(step, amount)
        new.kind, new.gross, new.grant, new.quantity = "fee", amount, step.name, ONE
        account = self.scope_account(self.flow_of(row), step)
        contract = self.contract(row) if self.is_of_contract(step) else self.setup.contract(account, start)
        if amount:
            fee = self.scope_row(account, "", start, step.price, new, contract, (start, key[2][1]))
            fee.term_number = step.number
            self.priced.append(fee)

    def by_turns(self, entries):
        """What goes on from turn to turn comes turn by turn, fees among rows."""
        if not any("rollover" in step.body for _, step in entries):
            return entries
        return sorted(entries, key=lambda e: self.key(*e)[2][0])

    def promised(self, row, step, key):
        body, asks = step.body, self.of_turn(row, step, key[2])
        return quantize(self.number(body.get("amount", body.get("quantity")), asks, step)
                        * self.factor(step, row, key[2], (self.scope_account(self.flow_of(row), step), self.contract(row))))

    def settle_commits(self):
        for key, bucket in list(self.memory("commits", dict).items()):
            row, own = bucket["last"]
            due = self.due(self.flow_of(row), own, key[2])
            step = self.at_end(self.flow_of(row), own, due, lambda s: s.kind == "commit" and s.body.get("shortfall") != "none")
            is_due = self.cut[0] < due <= self.cut[1] or (due <= self.cut[0] and bucket.get("touched") == self.cut)  # it lacks less now
            if "prepaid" in step.body or step.body.get("shortfall", "charge") == "none" or not is_due:
                continue
            lacks = max(ZERO, self.promised(row, step, key) - bucket["x"] - self.carried(key, row, step))
            if "quantity" in step.body:
                lacks = quantize(lacks * bucket.get("rate", ZERO))
            change, bucket["paid"] = lacks - bucket["paid"], lacks
            self.emit(row, step, key, "shortfall", change, due, own=own)

    def carried(self, key, row, step):
        """What was above the promise in the turn before, as far as it rolls over."""
        part = step.body.get("rollover", "none")
        if part == "none":
            return ZERO
        buckets = self.memory("commits", dict)
        earlier = [k for k in buckets if k[:2] == key[:2] and k[2][1] == key[2][0]]
        if not earlier:
            return ZERO
        before = buckets[earlier[0]]
        above, came = before["x"] - self.promised(*before["last"], earlier[0]), self.carried(earlier[0], row, step)
        more = came - above if "prepaid" in step.body else came + above  # what was left, or more than was promised
        return quantize(max(ZERO, more) * num(part))

    # ---- fee ----

    def run_fee(self, entries):
        buckets = self.memory("fees", dict)
        touched = {}
        for row, step, flow in self.taken(entries):
            key = self.key(row, step)
            bucket = buckets[key]
            if key not in touched:
                bucket["before"] = bucket.setdefault("x", ZERO)
            bucket["x"] += self.base(flow, step)
            bucket["last"] = touched[key] = row, step
        for key, opened in self.opened.items():
            if not buckets[key]:
                buckets[key].update(x=ZERO, last=opened)  # nothing was used: owed when the turn ends
        for key in touched:
            self.charge_fee(key, buckets[key])

    def asking(self, row, step, due, turn):
        """Who is asked for the numbers of a bucket that is settled: as a charge on its scope when it waits until it is due."""
        if step.body.get("settle") != "at_end":
            return self.of_turn(row, step, turn)
        asks = copy.copy(getattr(row, "whole", row))
        asks.account, asks.time = self.scope_account(self.flow_of(row), step), min(due, self.cut[1]) - 1
        asks.contract = self.contract(row) if step.term and self.is_of_contract(step) else self.setup.contract(asks.account, asks.time)
        asks.asked_turn = turn  # that of its bucket, whatever contract it asks
        return asks

    def of_turn(self, row, step, turn):
        """Who is asked by a version that may have another clock than the one that opened the bucket: of the bucket's turn."""
        if step.clock == "row" or self.turn(row, step) == turn:
            return row
        asks = copy.copy(getattr(row, "whole", row))
        asks.asked_turn = turn
        return asks

    def fee_parts(self, row, step, x):
        """{tier or None: what it comes to} at x, without the least and the most."""
        body = step.body
        if "tiers" not in body:
            return {None: quantize(x * self.number(body.get("percent", 0), row, step) / 100)}
        if body.get("mode", "graduated") == "graduated":
            parts, done, total = {}, ZERO, ZERO
            for i, tier in enumerate(self.tiers(step, row)):
                total += self.component(tier, x, step)[1]
                parts[i + 1], done = quantize(total) - done, quantize(total)
            return parts
        number, amount = self.volume(self.tiers(step, row), x, step)
        return {number + 1: amount}

    def charge_fee(self, key, bucket):
        """A charge for each rate; one without, where it is owed for another reason: the least, the most, another curve."""
        row, own = bucket["last"]
        due = self.due(self.flow_of(row), own, key[2])
        step = self.at_end(self.flow_of(row), own, due, lambda s: s.kind == "fee")  # as any whole turn
        body, x = step.body, bucket["x"]
        if body.get("settle") == "at_end" and due > self.cut[1]:
            return
        of, row = row, self.asking(row, step, due, key[2])
        parts, before = self.fee_parts(row, step, x), self.fee_parts(row, step, bucket.pop("before", x))
        whole = plain = sum(parts.values(), ZERO)
        factor = self.factor(step, of, key[2], (self.scope_account(self.flow_of(of), step), self.contract(of)))
        if "min" in body:
            whole = max(whole, quantize(self.number(body["min"], row, step) * factor))
        if "max" in body:
            whole = min(whole, quantize(self.number(body["max"], row, step) * factor))
        change, bucket["y"] = whole - bucket.get("y", ZERO), whole
        bucket["settled"] = due <= self.cut[1]
        if change != plain - sum(before.values(), ZERO):
            self.emit(of, step, key, "fee", change, due, None, body.get("sku"), None, own)
        elif body.get("mode") == "volume":
            (tier,) = parts
            self.emit(of, step, key, "fee", change, due, tier, body.get("sku"), body["tiers"][tier - 1].get("percent", 0), own)
        else:
            for tier, amount in parts.items():
                percent = (body["tiers"][tier - 1] if tier else body).get("percent", 0)
                self.emit(of, step, key, "fee", amount - before[tier], due, tier, body.get("sku"), percent, own)

    def settle_fees(self):
        for key, bucket in list(self.memory("fees", dict).items()):
            row, step = bucket["last"]
            waits = "min" in step.body or step.body.get("settle") == "at_end"  # others are corrected where they have charges
            if waits and not bucket.get("settled") and self.cut[0] < self.due(self.flow_of(row), step, key[2]) <= self.cut[1]:
                self.charge_fee(key, bucket)

    # ---- tax ----

    def run_tax(self, entries):
        position = self.memory("position", Fraction)
        for row, step, flow in self.taken(entries):
            body = step.body
            exempt, reverse = (key in body and truth(self.said(body[key], row, flow, step)) for key in ("exempt", "reverse_charge"))
            inclusive = truth(body.get("inclusive", False))
            if exempt or (reverse and not inclusive):
                continue
            rate = self.said(body["percent"], row, flow, step) / 100
            net = flow.net()
            exact = net * rate / (1 + rate) if inclusive else net * rate
            digits, mode, at = 18, "half_even", body.get("at", "line")
            if "round" in body or "at" in body:
                rule = body.get("round", {})
                rule = rule if isinstance(rule, dict) else {"digits": rule}
                digits, mode = int(num(rule.get("digits", self.minor(row)))), rule.get("mode", "half_up")
            key = (self.line_key(row, flow, step), self.cut) if at == "line" else self.key(row, step)  # each bill has lines of its own
            if at == "total":  # its measure is the tax of each rate, a number of 18 digits as any measure
                of_rate = (key, "rate", rate, reverse)
                was, position[of_rate] = position[of_rate], position[of_rate] + exact
                exact = quantize(position[of_rate]) - quantize(was)
            key = (key, reverse) if at == "total" else (key, rate, reverse)
            before, position[key] = position[key], position[key] + exact
            tax = quantize(position[key], digits, mode) - quantize(before, digits, mode)
            if inclusive:
                flow.adjust(step.name, "negation", -tax, rate=rate * 100)
            if not reverse:
                flow.adjust(step.name, "tax", tax, rate=rate * 100)

    # ---- allocate ----

    def run_allocate(self, entries):
        groups = defaultdict(lambda: ([], []))
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is None or flow.is_ghost:
                    continue
                key = self.key(row, step)
                if self.takes(flow, step):
                    groups[key][0].append((row, step, flow))
                if self.evaluate(str(step.body.get("to", "true")), row, flow, step):
                    groups[key][1].append((row, step, flow, self.said(step.body.get("weight", "quantity"), row, flow, step)))
        for sources, targets in groups.values():
            total = sum((weight for *_, weight in targets), ZERO)
            if not sources or not total:
                continue
            all_of_it, parts = sum((flow.net() for _, _, flow in sources), ZERO), []
            amount, body = all_of_it, targets[0][1].body
            digits, there = body.get("digits"), sum((flow.quantity for _, _, flow in sources), ZERO)
            if body.get("idle") == "none" and total < there:
                amount = quantize(amount * total / there)
            if digits is not None:  # what is less than a unit stays
                amount = quantize(amount, int(num(digits)), "down")
            at, done = ZERO, ZERO
            for *_, weight in targets:
                at += weight
                now = quantize(amount * at / total)
                parts.append(now - done)
                done = now
            if digits is not None:
                parts = self.remainders([amount * weight / total for *_, weight in targets], int(num(digits)), amount)
            given, at, done = [], ZERO, ZERO
            for row, step, flow in sources:
                at += flow.net()
                now = at if amount == all_of_it else quantize(amount * at / all_of_it) if all_of_it else ZERO
                given.append(now - done)
                done = now
            for (row, step, flow), part in zip(sources, given):
                flow.adjust(step.name, "allocated", -part)
            for (row, step, flow, _), part in zip(targets, parts):
                flow.adjust(step.name, "allocated", part)

    @staticmethod
    def remainders(shares, digits, amount):
        """Whole units first, then one more to the largest remainders, the first of equals."""
        sign = -1 if amount < 0 else 1
        unit = Fraction(1, 10 ** digits)
        parts = [abs(share) // unit * unit for share in shares]
        left = abs(amount) - sum(parts, ZERO)
        for i in sorted(range(len(shares)), key=lambda i: (parts[i] - abs(shares[i]), i)):
            if left < unit:
                break
            parts[i] += unit
            left -= unit
        return [sign * part for part in parts]

    # ---- credit ----

    def buyers(self, level, step):
        """{key of a wallet: row} of those who buy its grants, used or not."""
        out = {}
        if not any("cost" in grant for grant in step.body["grants"]):
            return out
        for account in sorted(self.setup.accounts):
            for start, end in self.setup.stretches(account):
                at, end = max(start, self.cut[0]), min(end, self.cut[1])
                if at < end and self.setup.payer(account, at) == self.payer and self.holds(level, account, at):
                    row = TermRow(account, at, self.setup.contract(account, at), step.price)
                    out.setdefault(self.wallet_key(row, step), row)
        return out

    def first_held(self, row, step, came, end, grant):
        """When somebody first has a wallet while a grant is in it; None: nobody."""
        whose = self.setup.accounts
        if step.scope in ("account", "resource"):
            whose = [self.scope_account(self.flow_of(row), step)]
        return min((max(start, came) for one in whose for start, stop in self.setup.stretches(one)
                    if max(start, came) < min(stop, end) and self.has_wallet(row, step, one, max(start, came), grant, came)), default=None)

    def has_wallet(self, row, step, account, at, grant, came):
        if account in self.setup.bare or self.setup.payer(account, at) != self.payer or (
                step.scope == "contract" and self.setup.contract(account, at) is not self.contract(row)):
            return False
        if step.term:  # asked by wallets of bills before, too, which run no terms now
            return self.holds(step.level, account, at)
        return any(self.has_price(price, account, at) for price in self.setup.all_prices()
                   if price.skus and not price.level.startswith("override") and any(
                       s.node == step.node and self.is_one_wallet(s, step) and self.gives(s, grant, account, at, came)
                       for s in price.steps))

    def gives(self, step, name, account, at, came):
        """Whether a version has what has come, and not one of its name that begins later."""
        from credits import Grant
        grants = [Grant(record, self.setup.zone, i, account) for i, record in enumerate(step.body.get("grants", []))]
        return any(g.id == name and not g.is_anothers and g.start <= came and at < g.end for g in grants)

    def versions(self, price, step):
        """[(start, body)] of a step's versions that have its wallets."""
        found = [(other.start, s.body) for other in self.setup.all_prices() for s in other.steps
                 if (other.level, other.name) == (price.level, price.name) and s.node == step.node
                 and s.kind == "credit" and self.is_one_wallet(s, step)]
        return sorted(found, key=lambda f: f[0])

    def wallet_key(self, row, step):
        """Versions with another scope have wallets of their own."""
        return (*self.key(row, step)[:2], step.scope, step.unit)

    def new_wallet(self, row, step):
        """Of a price it follows the versions from the first on, whether or not a charge comes in their time."""
        from credits import Wallet
        versions = [] if self.level or step.shared else self.versions(row.price, step)
        owner = self.scope_account(self.flow_of(row), step)
        wallet = Wallet(versions[0][1] if versions else step.body, self.setup.zone, owner)
        if versions:
            wallet.start, wallet.versions = versions[0][0], versions
        wallet.is_nobodys = lambda grant, came, end: self.first_held(row, step, came, end, grant.id) is None
        return wallet

    @staticmethod
    def is_one_wallet(one, other):
        return one.scope == other.scope and set(one.by) == set(other.by) and one.unit == other.unit

    def holds(self, level, account, at):
        since = self.setup.since(account)
        return (since is None or since <= at) and self.setup.in_force(
            level, account, at, self.setup.contract(account, at))

    def open_prices(self):
        """Wallets of prices with grants that are bought, of all that have the price: {node: {key: (row, step)}}."""
        self.price_sold = {}
        for price in sorted(self.setup.all_prices(), key=lambda p: p.start):
            for step in price.steps if price.skus and not price.level.startswith("override") else ():
                versions = self.versions(price, step) if step.kind == "credit" else []
                if not any("cost" in grant for _, body in versions for grant in body["grants"]):
                    continue
                self.node = step.node
                wallets, rows = self.memory("wallets", lambda: None), self.price_sold.setdefault(step.node, {})
                for account in sorted(self.setup.accounts):
                    for start, end in self.setup.stretches(account):
                        at, end = max(start, self.cut[0]), min(end, self.cut[1])
                        if at >= end or not self.has_price(price, account, at):
                            continue
                        row = TermRow(account, at, self.setup.contract(account, at), price)
                        row.sku = price.skus[0]
                        key = self.wallet_key(row, step)
                        wallets[key] = wallets[key] or self.new_wallet(row, step)
                        rows.setdefault(key, (row, step))

    def has_price(self, price, account, at):
        if account in self.setup.bare:
            return False
        if price.has_fixed and self.setup.payer(account, at) == self.payer and any(
                fee.price in [price, *price.parts] and fee.holder == account for fee in self.setup.fees(account, at)):
            return True
        if price.fixed:
            return False
        dims = [(name, values[0]) for name, values in price.where.items() if name in self.setup.dimension_names]
        since = self.setup.since(account)
        return (since is None or since <= at) and self.setup.payer(account, at) == self.payer and (
            self.setup.price(Kind(account, price.skus[0], dims, at)) is price)

    def sell_prices(self):
        for node, rows in self.price_sold.items():
            self.node = node
            for key, (row, step) in rows.items():
                self.sell(self.memory("wallets", lambda: None)[key], row, step)

    def wallets_of(self, step):
        """Those of a step; of accounts that take them along they are the same on all bills."""
        if step is None or not self.goes_along(step):
            return self.memory("wallets", lambda: None)
        return self.setup.wallets.setdefault(self.node, defaultdict(lambda: None))

    @staticmethod
    def goes_along(step):
        return step.body.get("settings_at") == "turn_start" and step.scope == "account"

    def has_its_wallet(self, account, step):
        """Whether this payer has the wallet of an account in this turn: who pays for it as that begins."""
        start = self.setup.billed(self.payer, self.cut[0])[0][0]
        return not self.goes_along(step) or self.setup.payer(account, start) == self.payer

    def wallet_for(self, row, step, wallets):
        """The wallet that a charge meets first; away, when another payer has it."""
        key = self.wallet_key(row, step)
        if self.has_its_wallet(row.account, step):
            wallets[key] = wallets[key] or self.new_wallet(row, step)
            return wallets[key]
        away = self.new_wallet(row, step)
        away.is_away = True
        return away

    def run_credit(self, entries):
        """Versions of other scopes have wallets of their own, which go along or do not."""
        kinds = [along for along in (False, True) if any(self.goes_along(step) is along for _, step in entries)]
        for along in kinds or [False]:
            self.run_wallets([entry for entry in entries if self.goes_along(entry[1]) is along], along)

    def run_wallets(self, entries, along):
        wallets = self.wallets_of(entries[0][1] if entries else None)
        by_wallet = defaultdict(list)
        step, buyers = None, {}
        if entries and "clock" not in entries[0][1].body:  # each meets the grants of its time, fees among rows
            entries = sorted(entries, key=lambda e: e[0].time)
        for row, step in entries:
            kinds = step.body.get("kinds")
            if any(self.takes(flow, step) and (flow.amount is None or kinds is None or flow.kind in kinds or (
                    "tax" in kinds and any(a.kind == "tax" for a in flow.adjustments))) for flow in row.flows):
                by_wallet[self.wallet_key(row, step)].append((row, step))
        for key, row in self.sold_to.items() if self.level and self.goes_along(self.sold_step) is along else ():
            buyers[key] = row, step = row, self.sold_step
            wallets[key] = wallets[key] or self.new_wallet(row, step)
        if step is None:
            return
        shares = any("share" in one.body for _, one in entries)  # of some versions
        if shares:
            self.spend_together(wallets, entries)
        for key, own in by_wallet.items():
            wallet = self.wallet_for(*own[0], wallets)
            if not shares:
                self.spend(wallet, own)
            if not wallet.is_away:
                buyers.setdefault(key, own[0])
        if not self.level:  # those that nothing comes to are filled, too
            buyers.update((key, own) for key, own in self.price_sold.get(step.node, {}).items() if self.goes_along(own[1]) is along)
        for key, (row, step) in buyers.items():
            self.sell(wallets[key], row, step)

    def sell(self, wallet, row, step):
        """Fees for what has come in this bill."""
        if not wallet.is_used() and not wallet.versions and not any("cost" in grant.record for grant in wallet.grants):
            return
        wallet.pass_versions(self.cut[1])
        wallet.advance(self.cut[1] - 1)
        bought, wallet.bought = sorted(wallet.bought), []
        account = self.scope_account(self.flow_of(row), step)
        for came, end, grant, count, cost in bought:
            at = came if grant == "top_up" else self.first_held(row, step, came, end, grant) if end > self.cut[0] else None
            if (at is None or at >= self.cut[1]) and end > self.cut[1]:
                wallet.bought.append((came, end, grant, count, cost))
            if at is not None and grant != "top_up" and wallet.versions:
                cost = self.cost_then(wallet, grant, at)
            if at is None or not self.cut[0] <= at < self.cut[1] or not cost:
                continue
            new = self.flow_of(None).charge(step, count * cost, cost)
            new.kind, new.gross, new.grant, new.quantity = "fee", count * cost, grant, Fraction(count)
            if not step.term:
                sku = "" if step.shared else row.sku
                contract = self.contract(row) if step.scope == "contract" else self.scope_contract(self.flow_of(row), step, at)
                sold = self.scope_row(account, sku, at, row.price, new, contract, self.cut)
                sold.is_sold = True
                self.priced.append(sold)
                continue
            contract = (self.contract(row) if self.is_of_contract(step)
                        else self.setup.contract_under(account, self.payer, at))
            sold = self.scope_row(account, "", at, step.price, new, contract, self.cut)
            sold.term_number = step.number
            self.priced.append(sold)

    @staticmethod
    def cost_then(wallet, grant, at):
        """What the version in force at an instant wants for a grant."""
        body = [body for start, body in wallet.versions if start <= at][-1:]
        costs = [num(g.get("cost", 0)) for i, g in enumerate(body[0]["grants"] if body else []) if str(g.get("id", i)) == grant]
        return costs[0] if costs else num(0)

    def spend_together(self, wallets, entries):
        """Of accounts that share: charges of all of them in their order."""
        step = entries[0][1] if entries else None
        if step is None:
            return
        steps = {id(row): step for row, step in entries}
        passes = [True, False] if step.body.get("share") == "own_first" and "clock" in step.body else [False]
        for own_only in passes:
            flows = [(row, flow) for row, s in entries for flow in list(row.flows) if self.takes(flow, s)]
            if "clock" in step.body:
                flows = self.in_targets(flows, step)
            for row, flow in flows:
                others, step = [], steps[id(row)]
                for account, other in self.sharing(row, step) if "share" in step.body else ():
                    key = self.wallet_key(other, step)
                    wallets[key] = wallets[key] or self.new_wallet(other, step)
                    others.append((account, wallets[key]))
                self.pay(self.wallet_for(row, step, wallets), row, flow, step, others, own_only)
        self.wallets += [wallet for wallet in wallets.values() if wallet]

    def sharing(self, row, step):
        """(account, what its wallet is found by) of the others for which the term holds then, or that have the price."""
        for account in sorted(self.setup.accounts):
            is_mine = self.has_its_wallet(account, step) if self.goes_along(step) else self.setup.payer(account, row.time) == self.payer
            if account == row.account or not is_mine:
                continue
            contract = self.setup.contract(account, row.time)
            if self.level:
                if self.holds(self.level, account, row.time):
                    yield account, TermRow(account, row.time, contract, step.price)
                continue
            sku, dims = row.sku, row.dims
            if not hasattr(row, "slot"):  # a fee, a fixed amount: whoever has the price for its usage
                sku = row.price.skus[0] if row.price.skus else row.sku
                dims = [(name, values[0]) for name, values in row.price.where.items() if name in self.setup.dimension_names]
            since, price = self.setup.since(account), self.setup.price(Kind(account, sku, dims, row.time))
            if (since is None or since <= row.time) and price and any(s.node == step.node for s in price.steps):
                other = copy.copy(row)
                other.account, other.price, other.contract = account, price, contract
                vars(other).pop("whole", None)
                yield account, other

    def spend(self, wallet, entries):
        step = entries[0][1]
        flows = [(row, flow) for row, step in entries for flow in list(row.flows) if self.takes(flow, step)]
        if step.clock == "period" and "clock" in step.body:
            flows = self.in_targets(flows, step)
        steps = {id(row): step for row, step in entries}  # versions may say other things
        for row, flow in flows:
            self.pay(wallet, row, flow, steps[id(row)], (), False)
        self.wallets.append(wallet)

    def pay(self, wallet, row, flow, step, others, own_only):
        def fits(where):
            return where is None or self.evaluate(str(where), row, flow, step)
        of = step.body, row.price.start
        if flow.amount is None:
            self.spend_units(wallet, row, flow, step, fits, others, own_only)
            return
        kinds = step.body.get("kinds")
        if kinds is None or flow.kind in kinds:
            for grant, part in wallet.take(row.time, max(ZERO, flow.net()), fits, others, own_only, of):
                flow.adjust(step.name, "credit", -part, grant=grant)
        if kinds and "tax" in kinds:
            for tax in [a for a in flow.adjustments if a.kind == "tax"]:
                def fits_tax(where, tax=tax):
                    return where is None or self.evaluate(str(where), row, tax.seen(flow), step)
                for grant, part in wallet.take(row.time, max(ZERO, tax.amount - tax.paid), fits_tax, others, own_only, of):
                    tax.paid += part
                    flow.adjust(step.name, "credit", -part, of_tax=True, grant=grant)

    def spend_units(self, wallet, row, flow, step, fits, others, own_only):
        used = wallet.take(row.time, max(ZERO, flow.quantity), fits, others, own_only, (step.body, row.price.start))
        out = []
        for grant, part in used:
            covered = self.flow_of(row)
            covered.quantity = part
            covered.charge(step, ZERO, ZERO)
            covered.kind, covered.grant = "credit", grant
            out.append(covered)
            flow.quantity -= part
        at = row.flows.index(flow)
        row.flows[at:at + 1] = out + ([flow] if flow.quantity or not out else [])

    def largest_first(self, flows, step):
        """By the sums of groups, from the outermost on, then by the charge; of equal ones the first."""
        keys = step.body.get("largest")
        if keys is None:
            return flows
        value = {"account": lambda row: row.account, "product": lambda row: self.setup.product.get(row.sku, ""), "sku": lambda row: row.sku}
        kinds, sums, first = step.body.get("kinds"), {}, {}
        groups = []
        for place, (row, flow) in enumerate(flows):
            names = tuple(value[key](row) for key in keys)
            groups.append([names[:i + 1] for i in range(len(names))])
            for group in groups[-1]:
                sums[group] = sums.get(group, ZERO) + (flow.net() if kinds is None or flow.kind in kinds else ZERO)
                first.setdefault(group, place)
        places = sorted(range(len(flows)), key=lambda i: (
            [part for group in groups[i] for part in (-sums[group], first[group])], -flows[i][1].net(), i))
        return [flows[i] for i in places]

    def in_targets(self, flows, step):
        flows = self.largest_first(flows, step)
        targets = step.body.get("targets")
        if not targets:
            return flows

        def rank(item):
            _, flow = item
            for i, target in enumerate(targets):
                if target in (flow.kind, flow.row.sku, flow.step):
                    return i
            return len(targets)
        return sorted(flows, key=rank)
