"""The naive rater: what commitments have paid for already.

Turn by turn, pass by pass, commitment by commitment, row by row, as the page of the language says it.  Nothing is
remembered but what a commitment has given in a turn."""
from collections import defaultdict
from fractions import Fraction

import expressions
import times
from exact import num, quantize

ZERO, ONE = Fraction(0), Fraction(1)


def loose(value):
    """A member of a record: text that is a number is one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return num(value)
    if isinstance(value, str):
        try:
            return num(value)
        except ValueError:
            return value
    return value


def truth(value):
    return str(value).lower() == "true"


def sortable(value):
    """Numbers before text, text by bytes."""
    return (1, value.encode()) if isinstance(value, str) else (0, value)


class Commitment:
    """A record of a buyer, with what its offering says."""

    def __init__(self, setup, record):
        self.record, self.setup = record, setup
        self.id, self.account = str(record["id"]), record["account"]
        self.name, self.offering = record["offering"], setup.catalog["commitments"][record["offering"]]
        self.start, self.end = setup.date(record.get("from"), times.MIN), setup.date(record.get("to"), times.MAX)
        self.known = {}
        self.by_amount = self.offering.get("unit", "quantity") == "amount"

    def member(self, path):
        """What commitment.path is."""
        if path == "from":
            return Fraction(self.start)
        if path == "to":
            return Fraction(self.end)
        for value in (self.record, self.record.get("attributes") or {}):
            if path in value:
                return loose(value[path])
        raise expressions.Failure("EXPRESSION")

    def find(self, path):
        if isinstance(path, tuple):
            return self.setup.asked(path, self.start)
        head, _, rest = path.partition(".")
        return self.member(rest if head == "commitment" else path)

    def says(self, text):
        """A number of the offering."""
        if text not in self.known:
            self.known[text] = quantize(expressions.evaluate(expressions.parse(str(text)), self.find))
        return self.known[text]

    def capacity(self):
        return self.says(self.offering["capacity"])

    def count(self):
        return loose(self.record.get("count", 1))

    def fee(self, name):
        """What is paid at a time: what the record says is for one of its count, what the offering says for all."""
        if name in self.record:
            return quantize(loose(self.record[name]) * self.count())
        return self.says(self.offering.get(name, 0))

    def spread(self, at):
        """What of the upfront fee has been used up by an instant: by time, over the term."""
        if self.start <= times.MIN or self.end >= times.MAX or not self.fee("upfront"):
            return ZERO
        at = min(max(at, self.start), self.end)
        return quantize(self.fee("upfront") * Fraction(at - self.start, self.end - self.start))

    def cost(self, turn):
        """What a turn costs: its fee, and its part of what was paid upfront."""
        return self.fee("recurring") + self.spread(turn[1]) - self.spread(turn[0])

    def alive(self, turn):
        return self.start < turn[1] and turn[0] < self.end

    def is_kind(self, condition):
        """Whether a pass takes it: a condition over its record."""
        def find(path):
            try:
                return self.find(path)
            except expressions.Failure:
                return ""
        if condition is None:
            return True
        tree = expressions.parse(str(condition))
        return self.holds(tree, find)

    def holds(self, tree, find):
        if tree[0] == "call" and tree[1] == "has":
            return find(tree[2][1]) != ""
        if tree[0] == "!":
            return not self.holds(tree[1], find)
        if tree[0] in ("&&", "||"):
            sides = [self.holds(side, find) for side in tree[1:]]
            return all(sides) if tree[0] == "&&" else any(sides)
        return expressions.evaluate(tree, find)


class Piece:
    """A row on its way through the passes."""

    def __init__(self, row, flow, number):
        self.row, self.flow, self.number = row, flow, number
        self.left, self.parts = flow.quantity, []


class Turn:
    """What one commitment has of one turn."""

    def __init__(self, commitment, turn):
        self.commitment, self.turn = commitment, turn
        self.capacity, self.used, self.effective = commitment.capacity(), ZERO, ZERO
        self.cost = commitment.cost(turn)

    def worth(self, used):
        """The part of the turn's cost that so many units are."""
        return quantize(self.cost * used / self.capacity) if self.capacity else ZERO

    def unused(self):
        """(units, what they cost) that nobody has used."""
        return self.capacity - self.used, self.cost - self.effective


class CoverSteps:
    """What Bill does where rows meet commitments."""

    def run_cover(self, entries):
        turns, rows = defaultdict(list), {}
        for row, step in entries:
            for flow in row.flows:
                if flow.amount is None and flow.quantity > 0 and self.takes(flow, step):
                    piece = Piece(row, flow, len(rows))
                    rows[id(flow)] = piece
                    turns[self.turn(row, step)].append((piece, step))
        for turn in sorted(turns):
            self.cover_turn(turn, [piece for piece, _ in turns[turn]], turns[turn][0][1])
        for row, step in entries:
            row.flows = [out for flow in row.flows for out in (
                self.slices(rows[id(flow)], step) if id(flow) in rows else [flow])]

    def cover_turn(self, turn, pieces, step):
        for one in step.body["passes"]:
            for commitment in self.ranked(one, turn):
                for piece in self.in_order(one, commitment, pieces, step):
                    self.give(one, commitment, turn, piece, step)

    def ranked(self, one, turn):
        """The commitments of a pass, in their order."""
        out = [c for c in self.known_commitments() if c.name == one["offering"] and c.alive(turn)
               and self.setup.payer(c.account, max(turn[0], c.start)) == self.payer and c.is_kind(one.get("commitments"))]
        out.sort(key=lambda c: c.id.encode())
        rank = one.get("rank", ["from", "id"])
        for key in reversed(rank if isinstance(rank, list) else [rank]):
            out.sort(key=lambda c, key=key: sortable(c.id if key.lstrip("-") == "id" else c.find(key.lstrip("-"))),
                     reverse=key.startswith("-"))
        return out

    def known_commitments(self):
        if not hasattr(self, "promises"):
            self.promises = [Commitment(self.setup, record) for record in self.setup.commitments]
        return self.promises

    def in_order(self, one, commitment, pieces, step):
        """The rows that a pass offers to a commitment, in the order of the pass, then in the total order."""
        fit = [p for p in pieces if p.left > 0 and self.reaches(one, commitment, p, step)
               and self.eligible(one, commitment, p, step)]
        order = one.get("order", ["-savings", "rate"] if commitment.by_amount else [])
        for key in reversed(order if isinstance(order, list) else [order]):
            values = {p.number: sortable(self.ask(key.lstrip("-"), commitment, p, step)) for p in fit}
            fit.sort(key=lambda p, values=values: values[p.number], reverse=key.startswith("-"))
        return fit

    def reaches(self, one, commitment, piece, step):
        """Whose rows a pass takes."""
        whom, account, owner = one.get("for", "own"), piece.row.account, commitment.account
        if not commitment.start <= piece.row.time < commitment.end:
            return False
        if whom == "own":
            return account == owner
        at = self.setting_instant(piece.row, step)
        (mine, group), (theirs, other) = (self.setup.sharing(each, self.payer, at) for each in (owner, account))
        if "none" in (mine, theirs):  # neither gives nor takes
            return False
        return "group" not in (mine, theirs) if whom == "shared" else group != "" and group == other

    def setting_instant(self, row, step):
        turn = self.setup.billed(self.payer, row.time)[0]
        return {"row": row.time, "turn_start": turn[0], "turn_end": turn[1] - 1, "invoice": self.cut[1]}[
            step.body.get("settings_at", "turn_end")]

    def eligible(self, one, commitment, piece, step):
        for text in (one.get("where"), commitment.offering.get("eligible")):
            if text is not None and self.ask(text, commitment, piece, step) is not True:
                return False
        return not commitment.by_amount or self.plan_rate(commitment, piece, step) is not None

    def plan_rate(self, commitment, piece, step):
        """What a unit of a row costs of a commitment to spend; None: it is not eligible."""
        offering, public = commitment.offering, quantize(self.list_rate(piece.row, piece.flow, step))
        if not public:  # what is free anyway
            return None
        if "percent" in offering:
            rate = quantize(public * (1 - self.ask(offering["percent"], commitment, piece, step) / 100))
        else:
            try:
                rate = self.ask(offering["rate"], commitment, piece, step)
            except expressions.Failure:
                return None
        if offering.get("best") == "buyer":
            own = self.list_rate(piece.row, piece.flow, step, True)
            rate = rate if own is None else min(rate, quantize(own))  # one that has no rate of its own is compared with none
        return rate or None

    def ask(self, text, commitment, piece, step):
        return self.settled(self.exactly(text, commitment, piece, step))

    def exactly(self, text, commitment, piece, step):
        """What an expression says of a row and a commitment; a division that is the last to be done is exact."""
        def find(path):
            if isinstance(path, tuple):
                return self.setup.asked(path, piece.row.time)
            if path == "list":
                return quantize(self.list_rate(piece.row, piece.flow, step))
            if path == "rate":
                return self.plan_rate(commitment, piece, step)
            if path == "savings":
                return 1 - quantize(self.plan_rate(commitment, piece, step) / quantize(self.list_rate(piece.row, piece.flow, step)))
            if path.startswith("commitment."):
                return commitment.member(path.partition(".")[2])
            return loose(self.name(piece.row, piece.flow, step, path))
        tree = expressions.parse(str(text))
        if tree[0] == "/":
            above, below = (expressions.evaluate(side, find) for side in tree[1:])
            return above / below
        return expressions.evaluate(tree, find)

    def list_rate(self, row, flow, step, is_own=False):
        """What a unit, as it comes to the cover, costs in public, or is charged at: the slope of its price's curve at 0, exact."""
        steps = row.price.steps
        behind = steps[[s.node for s in steps].index(step.node) + 1:]
        factor = ONE
        for other in behind:
            if other.kind == "convert":
                factor *= self.number(other.body.get("multiply", 1), row, other) / self.number(other.body.get("divide", 1), row, other)
            elif other.kind in ("rate", "tier", "percent") or (other.kind == "formula" and row.price.list_rate is not None and not is_own):
                first = self.first_rate(row, flow, other, is_own)
                return first and first * factor
        return ZERO

    def first_rate(self, row, flow, step, is_own=False):
        if row.price.list_rate is not None and not is_own:
            return row.price.list_rate / num(step.body.get("per", 1) if step.kind == "rate" else 1)
        if step.kind == "tier":
            tier = self.tiers(step, row)[0]
            return tier["rate"] / (tier["package"] or 1)
        if step.kind == "percent":
            return self.number(step.body.get("rate", 0), row, step) / 100
        rate, per, _ = self.rate_of(row, flow, step)
        if rate is None:  # no table has one
            return None if is_own else ZERO
        return rate / per

    def give(self, one, commitment, turn, piece, step):
        state = self.state(commitment, turn)
        left = state.capacity - state.used
        weight = ONE
        if commitment.by_amount:
            weight = self.plan_rate(commitment, piece, step)
        elif "weight" in commitment.offering:
            weight = self.exactly(commitment.offering["weight"], commitment, piece, step)
        if left <= 0 or weight <= 0:
            return
        taken, used = piece.left, quantize(piece.left * weight)
        if used > left:
            if truth(one.get("whole", False)):
                return
            taken, used = min(taken, quantize(left / weight)), left
        if taken <= 0:
            return
        before = state.worth(state.used)
        state.used += used
        effective = state.worth(state.used) - before
        state.effective += effective
        piece.left -= taken
        piece.parts.append((commitment, taken, effective))

    def state(self, commitment, turn):
        states = self.memories.setdefault("commitments", {})
        key = commitment.id, turn
        if key not in states:
            states[key] = Turn(commitment, turn)
        return states[key]

    def slices(self, piece, step):
        """The covered parts of a row, then the rest of it."""
        out, flow = [], piece.flow
        for commitment, taken, effective in piece.parts:
            part = self.flow_of(flow.row)
            part.quantity, part.kind, part.grant, part.effective = taken, "covered", commitment.id, effective
            rate = self.list_rate(piece.row, part, step)
            part.listed = quantize(taken * rate)
            is_shown = step.body.get("lines") == "negation"
            part.charge(step, part.listed if is_shown else ZERO, rate if is_shown else ZERO)
            if is_shown:
                part.adjust(step.name, "negation", -part.listed, grant=commitment.id, quantity=-taken,
                            rate=rate)
            out.append(part)
        flow.quantity = piece.left
        if piece.left > 0 or not out:
            return out + [flow]
        out[-1].events = flow.events
        return out

    # ---- what they cost, and what nobody has used ----

    def cover_steps(self):
        steps = {}
        for price in self.setup.all_prices():
            for step in price.steps:
                if step.kind == "cover":
                    steps.setdefault(step.node, step)
        return list(steps.values())

    def cover_of(self, commitment):
        """The step that gives an offering to rows, or None."""
        return next((step for step in self.cover_steps()
                     if any(one["offering"] == commitment.name for one in step.body["passes"])), None)

    def turns_of(self, commitment, step):
        """(turn) of a commitment's life that begin in this bill, while its account is the payer's."""
        at = max(commitment.start, self.cut[0])
        while at < min(commitment.end, self.cut[1]):
            turn = self.setup.turn(step, self.payer, commitment.account, at)
            if self.setup.payer(commitment.account, at) == self.payer and (
                    turn[0] >= self.cut[0] or at == commitment.start):
                yield at, turn
            at = turn[1]

    def begun_turn(self, commitment, step):
        """The turn that was the payer's before this bill began, in a bill that is not known."""
        if self.goes_on or commitment.start >= self.cut[0] or commitment.end <= self.cut[0] or self.cut[0] >= self.cut[1]:
            return None
        turn = self.setup.turn(step, self.payer, commitment.account, self.cut[0])
        begin = max(turn[0], commitment.start)
        return turn if turn[0] < self.cut[0] and self.setup.payer(commitment.account, begin) == self.payer else None

    def unused(self):
        """[(commitment, account, turn, capacity, used, what the rest costs)] of all turns that begin in this bill; of one
        that has begun before, what is used of it now, in what nobody has used."""
        out = []
        for commitment in self.known_commitments():
            step = self.cover_of(commitment)
            if step is None or "capacity" not in commitment.offering:
                continue
            begun = self.begun_turn(commitment, step)
            if begun:  # what the bill before has told as unused is used now
                state = self.state(commitment, begun)
                out.append((commitment.id, commitment.account, begun, ZERO, state.used, -state.effective))
            for _, turn in self.turns_of(commitment, step):
                state = self.state(commitment, turn)
                out.append((commitment.id, commitment.account, turn, state.capacity, state.used, state.unused()[1]))
        return out
