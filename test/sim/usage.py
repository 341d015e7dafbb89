"""The naive rater, first half: lines of events to usage rows and exclusions.

Written from the pages of the pricing language and the rules of acceptance, never from the engine."""
import functools
import json
import re
from collections import Counter, defaultdict
from fractions import Fraction

import expressions
import times
from exact import num, plain, quantize
from setting import Kind

ATTRIBUTES = ("id", "source", "type", "subject")
WITHDRAWAL = "farthing.withdrawal"


class Refused(Exception):
    pass


def unique_members(pairs):
    keys = [key for key, _ in pairs]
    if len(set(keys)) < len(keys):
        raise Refused("JSON_DUP_KEY")
    return dict(pairs)


def read_number(text):
    digits = re.sub(r"[eE].*$", "", text).replace("-", "").replace(".", "").lstrip("0")
    value = num(text)
    if len(digits.rstrip("0")) > 38 or abs(value) >= 10 ** 38:
        raise Refused("NUM_RANGE")
    if (value * 10 ** 18).denominator != 1:
        raise Refused("NUM_SCALE")
    return value


def no_constant(_):
    raise ValueError


class Event:
    def __init__(self, record):
        if not isinstance(record, dict):
            raise Refused("JSON_SYNTAX")
        withdrawal = record.get("type") == WITHDRAWAL
        names = [n for n in ("specversion", *ATTRIBUTES, "time")
                 if not (withdrawal and n == "subject")]
        if any(record.get(name) is None for name in names):
            raise Refused("FIELD_MISSING")
        seconds = record["time"] if isinstance(record["time"], Fraction) else None
        if any(not isinstance(record[name], str) for name in names
               if name != "time" or seconds is None):
            raise Refused("FIELD_TYPE")
        if record["specversion"] != "1.0" or not isinstance(record.get("data", {}), dict):
            raise Refused("FIELD_TYPE")
        if any(not 0 < len(record[name].encode()) < 256 for name in names if name in ATTRIBUTES):
            raise Refused("FIELD_LEN")
        self.id, self.source, self.type = record["id"], record["source"], record["type"]
        self.subject = record.get("subject", "")
        self.data = record.get("data", {})
        try:
            self.at = times.parse(record["time"]) if seconds is None else times.epoch(seconds)
        except times.TimeFault as fault:
            raise Refused(str(fault)) from None
        self.canonical = canonical({"data": self.data, "id": self.id, "source": self.source,
                                    "subject": self.subject, "time": times.form(self.at),
                                    "type": self.type})


def canonical(value):
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0].encode())
        return "{" + ",".join(canonical(k) + ":" + canonical(v) for k, v in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, Fraction):
        return plain(value)
    return json.dumps(value, ensure_ascii=False)


def read_line(line):
    """The records of a line (more than one in a batch), or Refused."""
    try:
        record = json.loads(line, object_pairs_hook=unique_members, parse_float=read_number,
                            parse_int=read_number, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Refused("JSON_SYNTAX") from None
    return record if isinstance(record, list) else [record]


class Acceptance:
    """What a set of lines comes to, whatever their order."""

    def __init__(self, lines):
        self.refused, self.records = Counter(), 0
        groups = defaultdict(list)
        for line in lines:
            if not line.strip():
                continue
            try:
                records = read_line(line)
            except Refused as why:
                self.refused[str(why)] += 1
                continue
            for record in records:
                try:
                    event = Event(record)
                except Refused as why:
                    self.refused[str(why)] += 1
                    continue
                self.records += 1
                groups[(event.source, event.id)].append(event)
        self.events, self.conflicts, self.duplicates, self.conflicting = [], set(), 0, 0
        self.taken_back = set()
        for group in groups.values():
            event = min(group, key=lambda e: e.canonical.encode())
            same = sum(e.canonical == event.canonical for e in group)
            self.duplicates += same - 1
            self.conflicting += len(group) - same
            self.conflicts |= {e.canonical for e in group if e.canonical != event.canonical}
            self.events.append(event)
            if event.type == WITHDRAWAL:
                self.taken_back.add((event.data.get("source"), event.data.get("id")))


class Row:
    """What one meter has counted for an account, SKU, resource, dimensions and slot; or one event of it."""

    def __init__(self, key, slot=None):
        (self.payer, self.cut, self.time, self.account, self.resource, self.sku, self.dims,
         self.meter, *self.event) = key  # (source, id) when it is one event
        self.slot = self.time if slot is None else slot
        self.values, self.events, self.carried, self.integral = [], 0, None, Fraction(0)
        self.later = 0  # pieces of events that began in another row

    def close(self, meter, aggregate):
        self.events = len(self.values) - self.later
        numbers = [value for _, value in self.values]
        if aggregate == "time_weighted":
            self.quantity = quantize(self.integral)
        elif aggregate == "unique":
            self.quantity = Fraction(len(set(numbers)))
        elif aggregate == "average":
            self.quantity = quantize(sum(numbers) / len(numbers))
        elif aggregate == "percentile":  # the highest that is left when the share above is dropped
            dropped = (1 - num(str(meter["percentile"])) / 100) * len(numbers)
            self.quantity = sorted(numbers)[len(numbers) - 1 - int(dropped)]
        elif aggregate == "min":
            self.quantity = min(numbers + ([self.carried[-1]] if self.carried else []))
        elif aggregate == "sum":
            self.quantity = sum(numbers, Fraction(0))
        elif aggregate == "count":
            self.quantity = Fraction(len(numbers))
        elif aggregate == "max":
            self.quantity = max(numbers + ([self.carried[-1]] if self.carried else []))
        else:
            self.quantity = max(self.values + ([self.carried] if self.carried else []))[1]


def measure(meter, event, setup=None):
    """(sku, resource, dims, value) of an event; None when the filter says no."""
    def names(path):
        if isinstance(path, tuple):
            return setup.asked(path, event.at)
        if path.startswith("in_calendar("):
            return setup.in_calendar(path.partition("(")[2], event.at)
        if path in ("type", "source", "id", "subject"):
            return getattr(event, path)
        value = event.data
        for key in path.split(".")[1:]:
            if not isinstance(value, dict) or key not in value:
                raise expressions.Failure("FIELD_MISSING")
            value = value[key]
        return value

    def text_of(expression, default=None):
        try:
            value = expressions.evaluate(expressions.parse(expression), names)
        except expressions.Failure as why:
            if default is None or str(why) != "FIELD_MISSING":
                raise
            return default
        if isinstance(value, bool):  # a key is a text
            return "true" if value else "false"
        if isinstance(value, Fraction):
            return plain(value)
        expressions.want(str, value)
        return value

    if "where" in meter:
        wanted = expressions.evaluate(expressions.parse(meter["where"]), names)
        expressions.want(bool, wanted)
        if not wanted:
            return None
    failures, parts = [], {}

    def attempt(name, make):
        try:
            parts[name] = make()
        except expressions.Failure as why:
            failures.append(str(why))

    def value():
        if "value" not in meter:
            return Fraction(1)
        if meter.get("aggregate") == "unique":
            return text_of(meter["value"])
        number = expressions.evaluate(expressions.parse(meter["value"]), names)
        expressions.want(Fraction, number)
        if number and not quantize(number):  # too small to be told from none
            raise expressions.Failure("EXPRESSION")
        return quantize(number)

    sku = meter["sku"]
    attempt("sku", lambda: text_of(sku) if re.search(r'data\.|"', sku) else sku)
    attempt("resource", lambda: text_of(meter["resource"], "") if "resource" in meter else "")
    dimensions = sorted(meter.get("dimensions", {}).items())
    for name, expression in dimensions:
        attempt("dims." + name, functools.partial(text_of, expression, ""))
    parts["dims"] = tuple((name, parts.get("dims." + name)) for name, _ in dimensions)
    attempt("value", value)
    if "spread" in meter:
        def instant(expression):
            try:
                return times.parse(text_of(expression))
            except times.TimeFault:
                raise expressions.Failure("FIELD_TYPE") from None

        for key in ("from", "to"):
            attempt("span." + key, functools.partial(instant, meter["spread"][key]))
        parts["span"] = (parts.get("span.from"), parts.get("span.to"))
        if None not in parts["span"]:  # a month's hours at most
            lasts = parts["span"][1] - parts["span"][0]
            if lasts < 0 or (meter.get("grain", "hour") == "hour" and lasts > 744 * times.HOUR):
                failures.append("EXPRESSION")
    if failures:
        raise expressions.Failure(min(failures, key=PRECEDENCE.index))
    changes = meter.get("aggregate") == "time_weighted" and meter.get("input") != "level"
    if not isinstance(parts["value"], str) and parts["value"] < 0 and not meter.get("negative", changes):
        raise expressions.Failure("NEGATIVE")
    return parts


PRECEDENCE = ["WITHDRAWN", "NO_METER", "NO_ACCOUNT", "OUT_OF_PERIOD", "FIELD_MISSING",
              "FIELD_TYPE", "EXPRESSION", "NEGATIVE", "UNKNOWN_SKU"]


class Usage:
    """Rows by (payer, cut), exclusions by (reason, account, meter)."""

    def __init__(self, setup, lines):
        self.setup = setup
        self.acceptance = Acceptance(lines)
        self.exclusions = defaultdict(lambda: [0, Fraction(0)])
        meters = defaultdict(list)
        for name, meter in sorted(setup.catalog.get("meters", {}).items()):
            meters[meter.get("event", name)].append((name, meter))
        rows = {}
        self.early = defaultdict(list)  # changes of levels at times that no bill has
        for event in self.acceptance.events:
            if event.type != WITHDRAWAL:
                matched = [self.apply(rows, event, name, meter)
                           for name, meter in meters[event.type]]
                if not any(matched):
                    taken = (event.source, event.id) in self.acceptance.taken_back
                    self.exclude("WITHDRAWN" if taken else "NO_METER", event, "")
        self.carry(rows)
        self.levels(rows)
        self.rows = defaultdict(list)
        for row in rows.values():
            row.close(setup.catalog["meters"][row.meter], setup.aggregate(row.meter))
            self.rows[(row.payer, row.cut)].append(row)

    def carry(self, rows):
        """The last state of a gauge goes into the next bill, as if it were of its first slot, to who pays for its account then."""
        gauges = defaultdict(list)
        for row in list(rows.values()):
            if self.setup.catalog["meters"][row.meter].get("carry") and self.setup.aggregate(row.meter) == "latest":
                gauges[(row.account, row.resource, row.sku, row.dims, row.meter)] += row.values
        for series, values in gauges.items():
            for payer in self.setup.accounts:
                for cut in self.setup.cuts(payer):
                    before = [value for value in values if value[0][0] < cut[0]]
                    if before and self.setup.payer(series[0], cut[0]) == payer:
                        key = (payer, cut, cut[0], *series)
                        rows.setdefault(key, Row(key)).carried = max(before)
        last = defaultdict(dict)  # series: {(payer, cut): state}
        for key, row in rows.items():
            if (self.setup.catalog["meters"][row.meter].get("carry")
                    and self.setup.aggregate(row.meter) in ("max", "min")):
                series = (row.account, row.resource, row.sku, row.dims, row.meter)
                pick = max if self.setup.aggregate(row.meter) == "max" else min
                state = pick(value for _, value in row.values)
                place = row.payer, row.cut
                last[series][place] = pick((last[series].get(place, state), state))
        turns = sorted(((cut, payer) for payer in self.setup.accounts for cut in self.setup.cuts(payer)), key=lambda turn: (turn[0][0], turn[1]))
        for series, states in last.items():
            self.carry_extremes(rows, series, states, turns)

    def carry_extremes(self, rows, series, states, turns):
        """The greatest or least value of a turn goes to who pays for the account as that ends, into the turn that begins then
        or next, if the account is with that one then; else it stays until one is."""
        account, resource, sku, dims, meter = series
        pick = max if self.setup.aggregate(meter) == "max" else min
        waiting = []  # (who has it, from when on, value)
        for cut, payer in turns:
            came, rest = [], []
            for item in waiting:
                (came if item[0] == payer and item[1] <= cut[0] else rest).append(item)
            waiting = rest
            left = []
            if self.setup.payer(account, cut[0]) == payer:
                if came:
                    key = (payer, cut, cut[0], *series)
                    carried = pick(value for _, _, value in came)
                    rows.setdefault(key, Row(key)).carried = ((cut[0],), carried)
                    states[(payer, cut)] = pick((states.get((payer, cut), carried), carried))
            else:
                left = [value for _, _, value in came]
            if (payer, cut) in states:
                left.append(states[(payer, cut)])
            for value in left:
                heir = self.setup.payer(account, cut[1])
                nexts = [other for other, whose in turns if whose == heir and other[0] >= cut[1]]
                if not nexts or self.setup.payer(account, nexts[0][0]) != heir:
                    heir = payer
                waiting.append((heir, cut[1], value))

    def slots(self, payer, cut, account, sku, dims, meter):
        """The time of a cut in which the payer pays for the account, slot by slot."""
        end = cut[1]
        while end > cut[0]:
            start = max(cut[0], self.setup.slot_before(Kind(account, sku, dims), end - 1, meter))
            start = max(start, self.grain_start(meter, end - 1))
            if self.setup.payer(account, start) == payer:
                yield start, end
            end = start

    def levels(self, rows):
        """Level x seconds of every slot, whoever paid for the account when the level changed."""
        changes = defaultdict(list)
        for row in rows.values():
            if self.setup.aggregate(row.meter) == "time_weighted":
                changes[(row.account, row.resource, row.sku, row.dims, row.meter)] += row.values
        for series, values in self.early.items():  # no bill before tells the level
            changes[series] += values
        for (account, resource, sku, dims, name), values in changes.items():
            meter, values = self.setup.catalog["meters"][name], sorted(values)
            for payer in self.setup.accounts:
                for cut in self.setup.cuts(payer):
                    for start, end in self.slots(payer, cut, account, sku, dims, meter):
                        level, at, integral = Fraction(0), start, Fraction(0)
                        for (when, *_), value in values:
                            if when >= end:
                                break
                            if when < cut[0] and not meter.get("carry", True):
                                continue
                            if when > at:
                                integral += level * (when - at) / times.NS
                                at = when
                            level = value if meter.get("input") == "level" else level + value
                        integral += level * (end - at) / times.NS
                        key = (payer, cut, start, account, resource, sku, dims, name)
                        if integral:
                            rows.setdefault(key, Row(key)).integral = integral

    def exclude(self, reason, event, meter, value=Fraction(0)):
        account = event.subject if event.subject in self.setup.accounts else ""
        entry = self.exclusions[(reason, account, meter)]
        entry[0] += 1
        entry[1] += value

    def slot(self, cut, kind, meter, at):
        start = max(cut[0], self.setup.slot_before(kind, at, meter))
        return max(start, self.grain_start(meter, at))

    def grain_start(self, meter, at):
        """Since when the value is gathered that has an instant."""
        if "clock" in meter:
            return times.MIN if meter["clock"] == "period" else self.setup.turn_of(meter["clock"], at)[0]
        return times.MIN if meter.get("grain") == "month" else at // times.HOUR * times.HOUR

    def spread(self, rows, event, name, meter, parts):
        """The value over the slots that the event has time in, from the last to the first."""
        (first, last), value, setup = parts["span"], parts["value"], self.setup

        def used(until):
            return value if until >= last else quantize(value * (until - first) / (last - first))
        end = max(last, first + 1)
        while end > first:
            at = end - 1
            payer = setup.payer(event.subject, at)
            cut = next((c for c in setup.cuts(payer) if c[0] <= at < c[1]), None)
            if cut is None:
                ends = [c[1] for other in setup.accounts for c in setup.cuts(other) if c[1] <= at]
                start = slot = max([at // times.HOUR * times.HOUR] + ends + [
                    edge for edge in setup.account_edges(event.subject) if edge <= at])
            else:
                start = slot = self.slot(cut, Kind(event.subject, parts["sku"], parts["dims"]), meter, at)
            start = max(start, first)
            part = used(end) - (used(start) if start > first else 0)
            if cut is None:
                self.exclude("OUT_OF_PERIOD", event, name, part)
                self.exclusions[("OUT_OF_PERIOD", event.subject, name)][0] -= start > first
            else:
                key = (payer, cut, slot, event.subject, parts["resource"], parts["sku"], parts["dims"], name)
                row = rows.setdefault(key, Row(key))
                row.values.append(((event.at, event.source.encode(), event.id.encode()), part))
                row.later += start > first
            end = start

    def apply(self, rows, event, name, meter):
        """False when the meter's filter says no."""
        failure, parts = None, None
        try:
            parts = measure(meter, event, self.setup)
            if parts is None:
                return False
        except expressions.Failure as why:
            failure = str(why)
        value = parts["value"] if parts else Fraction(0)
        counted = Fraction(1) if isinstance(value, str) else value
        setup = self.setup
        if (event.source, event.id) in self.acceptance.taken_back:
            self.exclude("WITHDRAWN", event, name, counted)
            return True
        if event.subject not in setup.accounts:
            self.exclude("NO_ACCOUNT", event, name, counted)
            return True
        if "span" in (parts or ()) and parts["sku"] in setup.skus:
            self.spread(rows, event, name, meter, parts)
            return True
        payer = setup.payer(event.subject, event.at)
        cut = next((c for c in setup.cuts(payer) if c[0] <= event.at < c[1]), None)
        if cut is None:
            if failure is None and parts["sku"] in setup.skus and setup.aggregate(name) == "time_weighted":
                series = (event.subject, parts["resource"], parts["sku"], parts["dims"], name)
                self.early[series].append(((event.at, event.source.encode(), event.id.encode()), value))
            failure = "OUT_OF_PERIOD"
        elif failure is None and parts["sku"] not in setup.skus:
            failure = "UNKNOWN_SKU"
        if failure:
            self.exclude(failure, event, name, counted)
            return True
        slot = self.slot(cut, Kind(event.subject, parts["sku"], parts["dims"]), meter, event.at)
        series = (event.subject, parts["resource"], parts["sku"], parts["dims"], name)
        if meter.get("grain") == "event":
            key = (payer, cut, event.at, *series, event.source.encode(), event.id.encode())
        else:
            key = (payer, cut, slot, *series)
        row = rows.setdefault(key, Row(key, slot))
        row.values.append(((event.at, event.source.encode(), event.id.encode()), value))
        return True
