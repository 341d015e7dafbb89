"""The naive rater: steps on charges, the same in a price, in a shared step and in the terms of a plan, a contract or the
catalog.

A term sees every charge made before it.  It changes none: what it adds is an adjustment of a charge, or a charge of its
own on a bucket's scope."""
from collections import defaultdict
from fractions import Fraction

import times
from exact import num, quantize

ZERO, ONE = Fraction(0), Fraction(1)
WAITING = ("bound", "commit", "fee")  # terms that owe something where nothing was used


class TermRow:
    """Where a term's bucket is open although nothing has touched it: an account and an instant."""
    resource, dims, meter, sku, events = "", (), "", "", 0

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
        for level, steps in self.setup.terms:
            for step in steps:
                self.node = step.node
                rows = [row for row in self.priced if self.setup.in_force(level, row.account, row.time,
                                                                          self.contract(row))]
                self.opened = self.open(level, step) if step.kind in WAITING else {}
                self.run_step(step.kind, [(row, step) for row in sorted(rows, key=self.term_place)])
                self.settle()
        self.opened = {}

    def run_step(self, kind, entries):
        getattr(self, "run_" + kind)(entries)

    @staticmethod
    def term_place(row):
        flow = row.flows[0] if row.flows else None
        return (row.time, row.account.encode(), row.resource.encode(), row.sku.encode(),
                [str(v).encode() for _, v in row.dims], row.meter.encode(), getattr(row, "event", []),
                row.price.name.encode(), row.price.start, (flow.step or "").encode() if flow else b"")

    def open(self, level, step):
        """{key: (row, step)} of the buckets that a term has, whether anything was used or not, due in this bill or still open."""
        out = {}
        if step.by or step.scope == "resource" or step.clock in ("row", "always"):
            return out
        for account in sorted(self.setup.accounts):
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
                    out.setdefault(key, (row, step))
                    at = key[2][1]
        return out

    def taken(self, entries):
        """(row, step, flow) of the charges that a step takes."""
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is not None and self.takes(flow, step) and not self.is_taken(flow, step):
                    yield row, step, flow

    def is_taken(self, flow, step):
        """Of an exclusive group only one term applies to a charge."""
        group = step.body.get("exclusive")
        if group is None:
            return False
        if step.body.get("best") == "buyer" or self.is_best(group):
            return self.best(group, flow) is not step
        if flow in self.left_out[group]:
            return True
        self.left_out[group].add(flow)
        return False

    def is_best(self, group):
        return any(s.body.get("exclusive") == group and s.body.get("best") for _, steps in self.setup.terms
                   for s in steps)

    def best(self, group, flow):
        """The term that saves most on a charge, as it is when the first of the group comes; the first of equals."""
        if not hasattr(flow, "best"):
            flow.best = {}
        if group not in flow.best:
            most = None
            for level, steps in self.setup.terms:
                for step in steps:
                    row = flow.row
                    if step.body.get("exclusive") != group or not self.takes(flow, step) or not (
                            self.setup.in_force(level, row.account, row.time, self.contract(row))):
                        continue
                    sign = -1 if step.kind == "markup" else 1
                    saving = sign * self.base(flow, step) * self.said(step.body["percent"], row, flow, step) / 100
                    if most is None or saving > most[0]:
                        most = saving, step
            flow.best[group] = most and most[1]
        return flow.best[group]

    @staticmethod
    def base(flow, step):
        if step.body.get("base", "net") == "gross":
            return getattr(flow, "gross", flow.amount)
        return flow.net()

    def emit(self, row, step, key, kind, amount, due, tier=None, sku=None):
        """A charge of its own on the scope of a bucket."""
        if not amount:
            return
        flow = self.flow_of(row)
        if not step.term:
            self.on_scope(flow, step, kind, amount, due, tier)
            return
        new = self.flow_of(None).charge(step, amount, None, tier)
        new.kind, new.gross = kind, amount
        account = self.scope_account(flow, step)
        contract = self.contract(row)
        span = max(key[2][0], self.cut[0]), min(key[2][1], self.cut[1])
        own = row.sku if "sku" in step.by else ""
        self.priced.append(self.scope_row(account, sku or own, min(due, self.cut[1]) - 1, step.price, new, contract,
                                          span))

    # ---- discount and markup ----

    def run_discount(self, entries):
        self.change(entries, -1)

    def run_markup(self, entries):
        self.change(entries, 1)

    def change(self, entries, sign):
        fresh = defaultdict(list)
        for row, step, flow in self.taken(entries):
            body, base = step.body, self.base(flow, step)
            if "quantity" in body:
                self.units_off(row, step, flow, sign)
            elif "percent" in body and "tiers" not in body:
                percent = self.said(body["percent"], row, flow, step)
                self.limited(row, step, flow, sign * quantize(base * percent / 100))
            elif "tiers" in body and body.get("mode", "graduated") == "graduated" and \
                    body.get("attribute", "in_order") == "in_order":
                x = self.memory("position", Fraction)
                key = self.key(row, step)
                before, x[key] = x[key], x[key] + base
                tiers = self.tiers(step, row)
                self.limited(row, step, flow, sign * (self.curve(tiers, x[key], step) - self.curve(tiers, before, step)))
            else:
                fresh[self.key(row, step)].append((row, step, flow, base))
        for key, group in fresh.items():
            self.whole_change(key, group, sign)

    def curve(self, tiers, x, step):
        return quantize(sum((self.component(tier, x, step)[1] for tier in tiers), ZERO))

    def limited(self, row, step, flow, change):
        """A discount up to a total amount, or in so many turns."""
        limit = step.body.get("limit")
        if isinstance(limit, dict) and "amount" in limit:
            used, key = self.memory("limit", Fraction), self.key(row, step)[:2]
            left = num(limit["amount"]) - abs(used[key])
            change = max(-left, min(left, change))
            used[key] += change
        elif limit is not None:
            turns = int(num(limit["turns"] if isinstance(limit, dict) else limit))
            key = self.key(row, step)
            seen = self.memory("turns", set)[key[:2]]
            if key[2] not in seen and len(seen) >= turns:
                return
            seen.add(key[2])
        flow.adjust(step.name, step.kind, change)

    def units_off(self, row, step, flow, sign):
        """Units at the row's rate."""
        used, key = self.memory("units", Fraction), self.key(row, step)
        limit = self.number(step.body["quantity"], row, step)
        before, used[key] = used[key], used[key] + flow.quantity
        part = max(ZERO, min(used[key], limit)) - max(ZERO, min(before, limit))
        self.limited(row, step, flow, sign * quantize(part * self.unit_price(flow)))

    @staticmethod
    def unit_price(flow):
        return flow.amount / flow.quantity if flow.quantity else ZERO

    def whole_change(self, key, group, sign):
        """An amount, or a percentage of the whole, spread over the charges of the bucket by the chord."""
        row, step, flow, _ = group[-1]
        body, bucket = step.body, self.memory("whole change", dict)[key]
        x0, y0 = bucket.get("x", ZERO), bucket.get("y", ZERO)
        x = x0 + sum((base for *_, base in group), ZERO)
        if "tiers" in body:
            tiers = self.tiers(step, row)
            y = self.curve(tiers, x, step) if body.get("mode", "graduated") == "graduated" else self.volume(
                tiers, x, step)[1]
        else:
            y = quantize(self.number(body["amount"], row, step) * self.factor(step, row, key[2], (
                row.account, self.contract(row))))
            if truth(body.get("prorate", False)):
                y = quantize(self.number(body["amount"], row, step) * max(f.factor for _, _, f, _ in group))
            y = max(ZERO, min(y, x)) if sign < 0 else y
        bucket.update(x=x, y=y)
        position, done, left = x0, ZERO, y - y0
        attribute = body.get("attribute", "pro_rata")
        for row, step, flow, base in group:
            position += base
            part = ZERO
            if attribute == "in_order":
                part = min(position, y) - min(position - base, y)
            elif attribute == "pro_rata" and x != x0:
                now = quantize((y - y0) * (position - x0) / (x - x0))
                part, done = now - done, now
            self.limited(row, step, flow, sign * part)
            left -= part
        if left:
            self.emit(row, step, key, step.kind, sign * left, key[2][1])

    # ---- commit ----

    def run_commit(self, entries):
        buckets = self.memory("commits", dict)
        for row, step, flow in self.taken(entries):
            body, key = step.body, self.key(row, step)
            bucket = buckets[key]
            if not bucket:
                bucket.update(x=ZERO, paid=ZERO)
            bucket["last"] = row, step
            units = "quantity" in body
            before = bucket["x"]
            after = bucket["x"] = before + (flow.quantity if units else flow.net())
            limit = self.promised(row, step, key)
            factor = self.number(body.get("overage", 1), row, step) - 1
            over = max(after, limit) - max(before, limit)
            if units:
                bucket["rate"] = self.unit_price(flow)
                flow.adjust(step.name, "overage", quantize(over * factor * self.unit_price(flow)))
            else:
                change = quantize(factor * (max(after, limit) - limit)) - quantize(factor * (max(before, limit) - limit))
                flow.adjust(step.name, "overage", change)
        for key, (row, step) in self.opened.items():
            if not buckets[key]:
                buckets[key].update(x=ZERO, paid=ZERO, last=(row, step))

    def promised(self, row, step, key):
        body = step.body
        return quantize(self.number(body.get("amount", body.get("quantity")), row, step)
                        * self.factor(step, row, key[2], (row.account, self.contract(row))))

    def settle_commits(self):
        for key, bucket in list(self.memory("commits", dict).items()):
            row, step = bucket["last"]
            due = self.due(self.flow_of(row), step, key[2])
            if step.body.get("shortfall", "charge") == "none" or not self.cut[0] < due <= self.cut[1]:
                continue
            lacks = max(ZERO, self.promised(row, step, key) - bucket["x"] - self.carried(key, row, step))
            if "quantity" in step.body:
                lacks = quantize(lacks * bucket.get("rate", ZERO))
            change, bucket["paid"] = lacks - bucket["paid"], lacks
            self.emit(row, step, key, "shortfall", change, due)

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
        more = before["x"] + self.carried(earlier[0], row, step) - self.promised(*before["last"], earlier[0])
        return quantize(max(ZERO, more) * num(part))

    # ---- fee ----

    def run_fee(self, entries):
        buckets = self.memory("fees", dict)
        touched = {}
        for row, step, flow in self.taken(entries):
            key = self.key(row, step)
            buckets[key]["x"] = buckets[key].get("x", ZERO) + flow.net()
            buckets[key]["last"] = touched[key] = row, step
        for key, opened in self.opened.items():
            if not buckets[key]:
                buckets[key].update(x=ZERO, last=opened)
                touched[key] = opened
        for key in touched:
            self.charge_fee(key, buckets[key])

    def charge_fee(self, key, bucket):
        """Tier by tier; what lacks to the least is due when the turn ends."""
        row, step = bucket["last"]
        body, x = step.body, bucket["x"]
        due = self.due(self.flow_of(row), step, key[2])
        parts = {}
        if "tiers" not in body:
            parts[None] = quantize(x * self.number(body.get("percent", 0), row, step) / 100)
        elif body.get("mode", "graduated") == "graduated":
            done = total = ZERO
            for i, tier in enumerate(self.tiers(step, row)):
                total += self.component(tier, x, step)[1]
                parts[i + 1], done = quantize(total) - done, quantize(total)
        else:
            number, amount = self.volume(self.tiers(step, row), x, step)
            parts[number + 1] = amount
        total = sum(parts.values(), ZERO)
        factor = self.factor(step, row, key[2], (self.scope_account(self.flow_of(row), step), self.contract(row)))
        if "max" in body:
            most = quantize(self.number(body["max"], row, step) * factor)
            parts["max"] = min(ZERO, most - total)
        if "min" in body and due <= self.cut[1]:
            least = quantize(self.number(body["min"], row, step) * factor)
            parts["min"] = max(ZERO, least - total)
        billed = bucket.setdefault("billed", defaultdict(Fraction))
        for tier in list(parts):
            change = parts[tier] - billed[tier]
            billed[tier] = parts[tier]
            self.emit(row, step, key, "fee", change, due, tier if isinstance(tier, int) else None, body.get("sku"))
        bucket["settled"] = due <= self.cut[1]

    def settle_fees(self):
        for key, bucket in list(self.memory("fees", dict).items()):
            row, step = bucket["last"]
            if not bucket.get("settled") and self.cut[0] < self.due(self.flow_of(row), step, key[2]) <= self.cut[1]:
                self.charge_fee(key, bucket)

    # ---- tax ----

    def run_tax(self, entries):
        position = self.memory("position", Fraction)
        for row, step, flow in self.taken(entries):
            body = step.body
            if any(truth(self.said(body[key], row, flow, step)) for key in ("exempt", "reverse_charge") if key in body):
                continue
            rate = self.said(body["percent"], row, flow, step) / 100
            net = flow.net()
            exact = net - net / (1 + rate) if truth(body.get("inclusive", False)) else net * rate
            if "round" not in body:
                tax = quantize(exact)
            else:
                rule = body["round"] if isinstance(body["round"], dict) else {"digits": body["round"]}
                key = {"line": lambda: self.line_key(row, flow, step), "rate": lambda: (self.key(row, step), rate),
                       "total": lambda: self.key(row, step)}[body.get("at", "line")]()
                before, position[key] = position[key], position[key] + exact
                digits, mode = int(num(rule.get("digits", 2))), rule.get("mode", "half_up")
                tax = quantize(position[key], digits, mode) - quantize(before, digits, mode)
            if truth(body.get("inclusive", False)):
                flow.adjust(step.name, "included", -tax)
            flow.adjust(step.name, "tax", tax)

    # ---- allocate ----

    def run_allocate(self, entries):
        groups = defaultdict(lambda: ([], []))
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is None:
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
            amount, parts = sum((flow.net() for _, _, flow in sources), ZERO), []
            digits = targets[0][1].body.get("digits")
            at, done = ZERO, ZERO
            for *_, weight in targets:
                at += weight
                now = quantize(amount * at / total)
                parts.append(now - done)
                done = now
            if digits is not None:
                parts = self.remainders([amount * weight / total for *_, weight in targets], int(num(digits)), amount)
            for row, step, flow in sources:
                flow.adjust(step.name, "allocated", -flow.net())
            for (row, step, flow, _), part in zip(targets, parts):
                flow.adjust(step.name, "allocated", part)

    @staticmethod
    def remainders(shares, digits, amount):
        """Whole units first, then one more to the largest remainders, the first of equals; the last has what no unit holds."""
        unit = Fraction(1, 10 ** digits)
        parts = [share // unit * unit for share in shares]
        left = sum(shares, ZERO) - sum(parts, ZERO)
        order = sorted(range(len(shares)), key=lambda i: (-(shares[i] - parts[i]), i))
        for i in order:
            if left < unit:
                break
            parts[i] += unit
            left -= unit
        parts[order[-1] if len(order) else 0] += amount - sum(parts, ZERO)
        return parts

    # ---- credit ----

    def run_credit(self, entries):
        from credits import Wallet
        wallets = self.memory("wallets", lambda: None)
        by_wallet = defaultdict(list)
        for row, step in entries:
            by_wallet[self.key(row, step)[:2]].append((row, step))
        for key, own in by_wallet.items():
            if wallets[key] is None:
                wallets[key] = Wallet(own[0][1].body, self.setup.zone)
            self.spend(wallets[key], own)

    def spend(self, wallet, entries):
        step = entries[0][1]
        flows = [(row, flow) for row, step in entries for flow in list(row.flows) if self.takes(flow, step)]
        if step.clock == "period" and "clock" in step.body:
            flows = self.in_targets(flows, step)
        for row, flow in flows:
            def fits(where, row=row, flow=flow):
                return where is None or self.evaluate(str(where), row, flow, step)
            if flow.amount is None:
                self.spend_units(wallet, row, flow, step, fits)
                continue
            kinds = step.body.get("kinds")
            if kinds is None or flow.kind in kinds:
                for grant, part in wallet.take(row.time, max(ZERO, flow.net()), fits):
                    flow.adjust(step.name, "credit", -part, grant=grant)
            if kinds and "tax" in kinds:
                for grant, part in wallet.take(row.time, max(ZERO, flow.tax()), fits):
                    flow.adjust(step.name, "credit", -part, of_tax=True, grant=grant)
        self.wallets.append(wallet)

    def spend_units(self, wallet, row, flow, step, fits):
        used = wallet.take(row.time, max(ZERO, flow.quantity), fits)
        out = []
        for grant, part in used:
            covered = self.flow_of(row)
            covered.quantity = part
            covered.charge(step, ZERO, ZERO)
            covered.kind = "credit"
            out.append(covered)
            flow.quantity -= part
        at = row.flows.index(flow)
        row.flows[at:at + 1] = out + ([flow] if flow.quantity or not out else [])

    @staticmethod
    def in_targets(flows, step):
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
