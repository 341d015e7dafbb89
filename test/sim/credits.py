"""Grants that are used up: a fold over the history of a wallet."""
import math
from fractions import Fraction

import times
from exact import num

ZERO = Fraction(0)


class Grant:
    def __init__(self, record, zone, number, owner=None):
        self.id = str(record.get("id", number))
        self.record, self.amount = record, num(record["amount"])
        self.start = times.parse_date(record["from"], zone) if record.get("from") else times.MIN
        self.end = times.parse_date(record["to"], zone) if record.get("to") else times.MAX
        if record.get("void"):
            self.end = min(self.end, times.parse_date(record["void"], zone))
        self.balance, self.begun, self.ended, self.now = ZERO, False, False, times.MIN - 1
        self.where = record.get("where")
        self.is_anothers = "account" in record and str(record["account"]) != owner  # and never in this wallet
        rollover = record.get("rollover")
        self.least = num(rollover.get("min", 0)) if rollover else ZERO
        self.most = ZERO if rollover is None else num(rollover["max"]) if "max" in rollover else None  # {}: all of it
        self.clock = None
        if "every" in record:
            every = record["every"]
            anchor = self.start
            if isinstance(every, dict):
                if "anchor" in every:
                    anchor = times.parse_date(every["anchor"], zone)
                every = every.get("period", every.get("every"))
            count = 1
            if " " in every:
                count, every = int(every.split()[0]), every.split()[1].rstrip("s")
            self.clock = times.Clock(every, count, None if anchor == times.MIN else anchor, zone)

    def rolled(self):
        kept = max(self.balance, self.least)
        return kept if self.most is None else min(kept, self.most)

    def moments(self, after, until):
        """(time, what): begins, recurs, ends."""
        out = []
        if self.is_anothers:
            return out
        if not self.begun and self.start <= until:
            out.append((self.start, "begin"))
        if self.clock and self.start <= until:
            at = self.clock.turn(max(self.start, after))[1]
            while at <= until and at < self.end:
                if at > self.start and at > after:
                    out.append((at, "recur"))
                at = self.clock.turn(at)[1]
        if not self.ended and self.end <= until:
            out.append((self.end, "end"))
        return out


class Wallet:
    """The grants of one credit step in one scope."""

    def __init__(self, body, zone=None, owner=None):
        self.owner = owner
        self.is_nobodys = lambda grant, came, end: False  # whether nobody has the wallet to buy it
        self.body, self.now, self.debt, self.top = body, times.MIN - 1, ZERO, ZERO
        self.sold = set()  # {(grant, when it came)}
        self.bought = []  # [(time, until when, grant, how often, cost of each)]
        self.zone, self.known = zone, {}  # the last of each name
        self.start, self.versions = times.MIN, []  # since when it has this body; [(start, body)] of a price's
        self.is_away = False  # another payer has it, whose bill this is not
        self.read(body)

    def read(self, body):
        self.body = body
        self.grants = [Grant(record, self.zone, i, self.owner) for i, record in enumerate(body.get("grants", []))]
        order = body.get("order", ["priority", "to", "from"])
        self.grants.sort(key=lambda g: [self.rank(g, name) for name in order] + [g.id.encode()])
        self.resets = sorted(times.parse_date(t, self.zone) for t in body.get("resets", []))

    def follow(self, body, start):
        """Another version of the price, behind those that were in force meanwhile."""
        if body is not self.body or start > self.start:  # one that says the same as an earlier one is another, where one lies between
            self.pass_versions(start)
            self.turn_to(body, start)

    def pass_versions(self, until):
        for start, body in self.versions:
            if self.start < start < until:
                self.turn_to(body, start)

    def turn_to(self, body, start):
        """Grants go on by their names, with what is left."""
        self.start = start
        if body is self.body:
            return
        if start > self.now:
            self.advance(start - 1)
        self.known.update({grant.id: grant for grant in self.grants if not grant.is_anothers})
        self.read(body)
        new = [grant for grant in self.grants if grant.id not in self.known or not self.known[grant.id].begun]
        for grant in self.grants:
            old = self.known.get(grant.id)
            if old and old.begun and not grant.is_anothers:
                grant.balance, grant.now = old.balance, max(old.now, self.now)
                grant.begun = old.begun and grant.start <= self.now
                grant.ended = old.ended and grant.end <= self.now
        self.advance(self.now)
        for grant in new:  # comes with the version
            if grant.begun and not grant.ended and not any(at == self.now + 1 for at, _ in grant.moments(self.now, self.now + 1)):
                self.fill(grant, ZERO, grant.balance)

    def is_used(self):
        return self.now >= times.MIN

    @staticmethod
    def rank(grant, name):
        sign = -1 if name.startswith("-") else 1
        name = name.lstrip("-")
        if name == "to":
            return sign * grant.end
        if name == "from":
            return sign * grant.start
        if name == "id":  # by bytes; what is longer comes behind
            return [sign * (byte + 1) for byte in grant.id.encode()] + [0]
        return sign * num(grant.record.get("width" if name == "wide" else name, 0))

    def advance(self, until):
        """All that happens up to an instant, in its order: ends, resets, recurrences, beginnings."""
        moments = [(at, what, i) for i, grant in enumerate(self.grants) for at, what in grant.moments(grant.now, until)]
        moments += [(at, "reset", -1) for at in self.resets if self.now < at <= until]
        rank = {"end": 0, "reset": 1, "recur": 2, "begin": 3}
        for at, what, i in sorted(moments, key=lambda m: (m[0], rank[m[1]], m[2])):
            if what == "reset":
                if str(self.body.get("keep_overage", False)).lower() != "true":
                    self.debt = ZERO
                for grant in self.grants:
                    if grant.begun and not grant.ended:
                        self.fill(grant, grant.balance, grant.rolled())
                self.top = ZERO
            elif what == "end":
                self.grants[i].balance, self.grants[i].ended = ZERO, True
            elif what == "begin":
                if not self.grants[i].ended:
                    self.grants[i].begun = True
                    self.fill(self.grants[i], ZERO, self.came(self.grants[i], at), at <= self.now)
                    self.buy(self.grants[i], at)
            elif not self.grants[i].ended:
                grant = self.grants[i]
                kept = grant.rolled() if "rollover" in grant.record else ZERO
                self.fill(grant, min(grant.balance, kept), self.came(grant, at) + kept, at <= self.now)
                self.buy(grant, at)
        self.now = max(self.now, until)
        for grant in self.grants:
            grant.now = self.now

    def came(self, grant, at):
        """What nobody bought as long as it was there does not roll over."""
        is_bought = "cost" in grant.record and "rollover" in grant.record
        return ZERO if is_bought and self.is_nobodys(grant, at, self.there(grant, at)) else grant.amount

    @staticmethod
    def there(grant, at):
        return min(grant.end, grant.clock.turn(at)[1]) if grant.clock else grant.end

    def buy(self, grant, at):
        """It is paid as it comes, or as somebody has the wallet, as long as it is there: what another version may sell, too."""
        if (grant.id, at) in self.sold:  # a version before has it too
            return
        self.sold.add((grant.id, at))
        if "cost" in grant.record or self.versions:
            self.bought.append((at, self.there(grant, at), grant.id, 1, num(grant.record.get("cost", 0))))

    def fill(self, grant, had, has, is_past=False):
        """What comes in repays a debt."""
        part = max(min(self.debt, has - had), ZERO) if not is_past else ZERO
        grant.balance = has - part
        self.debt -= part

    def take(self, at, wanted, fits, others=(), own_only=False, of=None):
        """[(grant, part)]; with overage carried, all of it is taken, the rest as a debt of the wallet.  others: [(account, wallet)]."""
        out = []
        if wanted <= 0:
            return out
        body, start = of or (self.body, self.now)
        self.follow(body, start)
        self.advance(at)
        # Others are asked for what is left alone, so their wallets are as far as the last charge that has asked them.
        mine = [] if self.is_away else [(i, "", self) for i in range(len(self.grants))]
        theirs = [] if own_only else [(i, name + "/", wallet) for name, wallet in others for i in range(len(self.grants))]
        if self.body.get("share") == "all":
            queue = [g for i in range(len(self.grants)) for g in [*mine[i:i + 1], *(t for t in theirs if t[0] == i)]]
        else:
            queue = mine + theirs
        for i, name, wallet in queue:
            if wanted <= 0:
                break
            if wallet is not self:
                wallet.follow(body, start)
                wallet.advance(at)
            grant = wallet.grants[i]
            part = min(grant.balance, wanted)
            if part > 0 and fits(grant.where):
                grant.balance -= part
                wanted -= part
                out.append((name + grant.id, part))
        if own_only:
            return out
        if "top_up" in self.body:
            out += self.refill(at, wanted)
            wanted = ZERO
        if wanted > 0 and self.body.get("overage") == "carry":
            self.debt += wanted
            out.append(("overage", wanted))
        return out

    def refill(self, at, wanted):
        """All that is wanted; what comes keeps at least so much in the wallet."""
        rule = self.body["top_up"]
        below, amount = num(rule["below"]), num(rule["amount"])
        left = self.top + sum((g.balance for g in self.grants if g.where is None), ZERO) - wanted
        if left < below:
            count = math.ceil((below - left) / amount)
            self.top += count * amount
            self.bought.append((at, at, "top_up", count, num(rule.get("cost", rule["amount"]))))
        self.top -= wanted
        return [("top_up", wanted)] if wanted else []

    def balances(self, at):
        self.advance(at)
        out = {grant.id: grant.balance for grant in self.grants if not grant.is_anothers}
        out["overage"], out["top_up"] = self.debt, self.top
        return out
