"""Random small worlds from a seed: a catalog, records, lines of events, a period.

Each part draws from a stream of its own, so a draw more in one does not shift the others.  What a world uses
is noted in its features, of which the harness counts the pairs that have met."""
import csv
import io
import json
import random
from fractions import Fraction

import times
from exact import plain

ZONES = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/Havana"]
PERIODS = ["2026-10"] * 9 + ["2026-03", "2026-02", "2026-W40", "2026-10-05", "2026-Q4",
           "2026-10-08T06:30:00Z/2026-10-21T12:00:00Z", "2026-09-25/2026-10-25"]

# Where farthing and the rater are known to differ (README.md): worlds avoid these unless --open names them.
OPEN = set()
SAID = set()  # words of world_words.py that each world says
LEFT = set()  # whole rooms of the world that are left out: terms, currencies, commitments, wallets, words
REGIONS, SIZES = ["eu", "us", "ap"], ["s", "l"]


class Raw(str):
    """A number as it is to be written."""


def number(text):
    return Raw(text)


# ---- writers ----

def write_json(value, rng=None, indent=None, level=0):
    """JSON with numbers as they were written; rng shuffles members and adds blanks."""
    def blank():
        return rng.choice(["", "", "", " ", "  "]) if rng else ""
    pad = "\n" + " " * indent * (level + 1) if indent else ""
    end = "\n" + " " * indent * level if indent else ""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        items = list(value.items())
        if rng:
            rng.shuffle(items)
        body = ",".join("%s%s%s%s:%s%s" % (pad, blank(), write_json(k, None), blank(), blank(),
                                           write_json(v, rng, indent, level + 1)) for k, v in items)
        return "{" + body + (end if items else "") + blank() + "}"
    if isinstance(value, list):
        body = ",".join(pad + blank() + write_json(v, rng, indent, level + 1) for v in value)
        return "[" + body + (end if value else "") + blank() + "]"
    text = json.dumps(value, ensure_ascii=False)
    if rng and isinstance(value, str) and len(text) > 2 and rng.random() < 0.1:
        at = rng.randrange(1, len(text) - 1)
        if text[at].isalnum() and text[at - 1] != "\\":
            text = text[:at] + "\\u%04x" % ord(text[at]) + text[at + 1:]
    return text


def block(value, level=0):
    """YAML in block style, for some of the files."""
    pad = "  " * level
    if isinstance(value, dict) and value:
        out = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                out.append("%s%s:\n%s" % (pad, scalar(key), block(item, level + 1)))
            else:
                out.append("%s%s: %s\n" % (pad, scalar(key), scalar(item)))
        return "".join(out)
    if isinstance(value, list) and value:
        return "".join("%s- %s" % (pad, block(item, level + 1).lstrip()
                                   if isinstance(item, (dict, list)) and item
                                   else scalar(item) + "\n") for item in value)
    return pad + scalar(value) + "\n"


def scalar(value):
    return str(value) if isinstance(value, Raw) else json.dumps(value, ensure_ascii=False)


def write_csv(records, columns):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        writer.writerow([record.get(column, "") for column in columns])
    return out.getvalue()


def vary_number(text, rng):
    """Another way of writing the same number."""
    if not rng or rng.random() < 0.5:
        return Raw(text)
    return Raw(rng.choice([text + ("0" if "." in text else ".0"), text + "e0", text + "E+00"]))


def vary_event(event, rng=None):
    """A line for an event; with rng in another spelling: order, blanks, numbers, zone of the time."""
    record = dict(event)
    if rng:
        def vary(value):
            if isinstance(value, Raw):
                return vary_number(value, rng)
            if isinstance(value, dict):
                return {k: vary(v) for k, v in value.items()}
            return value
        record = vary(record)
        if rng.random() < 0.3:
            record["traceid"] = "t%d" % rng.randrange(1000)
        if isinstance(record.get("time"), str) and rng.random() < 0.4:
            try:
                at = times.parse(record["time"])
                hours = rng.choice([-7, 1, 2, 5])
                record["time"] = times.form(at + hours * times.HOUR)[:-1] + "%s%02d:%s" % (
                    "-" if hours < 0 else "+", abs(hours), "00")
            except times.TimeFault:
                pass
    return write_json(record, rng)


# ---- the world ----

import world_cover  # behind what they take from here
import world_currency
import world_terms
import world_wallets
import world_words


class World:
    def __init__(self, seed):
        self.seed, self.features = seed, set()
        self.size = random.Random("%s/size" % seed).choice([1, 1, 2, 3])
        rng = self.rng("period")
        self.period_text = rng.choice(PERIODS)
        self.catalog = {"catalog": "sim"}
        self.make_billing(rng)
        zone = self.catalog.get("billing", {}).get("zone")
        self.period = times.parse_period(self.period_text, zone)
        self.edges = list(self.period)
        self.make_accounts(self.rng("accounts"))
        self.make_catalog(self.rng("catalog"))
        self.make_contracts(self.rng("contracts"))
        self.make_overrides(self.rng("overrides"))
        if "terms" not in LEFT:
            world_terms.add(self)
        if "currencies" not in LEFT:
            world_currency.add(self)
        self.make_components(self.rng("components"))
        self.commitments = []
        if "commitments" not in LEFT:
            world_cover.add(self)
        if "wallets" not in LEFT:
            world_wallets.add(self)
        if "words" not in LEFT:
            world_words.add(self)
        self.make_parameters(self.rng("parameters"))
        self.fit_events(self.catalog)
        rng = self.rng("profile")
        if rng.random() < 0.25:
            self.catalog["profile"] = rng.choice(["lago", "openmeter", "killbill", "stripe", "flexprice"])
            self.has("profile." + self.catalog["profile"])
        self.make_events(self.rng("events"))
        self.make_lines(self.rng("lines"))

    def rng(self, name):
        return random.Random("%s/%s" % (self.seed, name))

    def has(self, feature):
        self.features.add(feature)

    # ---- time ----

    def moment(self, rng, odd=True):
        """An instant inside the period: at odd seconds, or a midnight."""
        start, end = self.period
        at = rng.randrange(start + times.HOUR, end - times.HOUR)
        if not odd:
            return max(start, at // times.DAY * times.DAY)
        grain = rng.choice([times.HOUR, 60 * times.NS, 60 * times.NS, times.NS, times.NS])
        return at // grain * grain

    def date(self, at):
        return times.form(at)

    # ---- billing, rounding ----

    def make_billing(self, rng):
        kind = rng.choice(["none"] * 6 + ["zone", "zone", "week", "subscription", "anchor", "days",
                                          "quarter", "subscription zone"])
        body = {}
        if "zone" in kind:
            body["zone"] = rng.choice(ZONES)
            self.has("zone")
        if kind == "week":
            body["every"] = "week"
        elif kind.startswith("subscription"):
            body.update(every="month", anchor="subscription")
        elif kind == "anchor":
            body.update(every="month", anchor=rng.choice(["2026-01-31", "2026-01-30", "2024-02-29",
                                                          "2026-01-15T13:37:20Z"]))
        elif kind == "days":
            body.update(every="10 days", anchor="2026-09-21")
        elif kind == "quarter":
            body["every"] = "quarter"
        elif kind == "zone":
            body["every"] = "month"
        if body:
            self.catalog["billing"] = body
        self.billing_kind = kind
        self.several = "anchor" in body or kind == "week" or (
            len(self.period_text) != 7 or "Q" in self.period_text)  # bills
        self.has("billing." + kind.split()[0])
        self.has("period." + ("month" if len(self.period_text) == 7 and "W" not in self.period_text
                              else "other"))
        self.catalog["currency"] = rng.choice(["USD"] * 4 + ["JPY", "KWD"])
        self.minor = {"JPY": 0, "KWD": 3}.get(self.catalog["currency"], 2)
        rounding = rng.choice([None] * 4 + [{"digits": Raw("2")}, {"digits": Raw("4"), "mode": "half_even"},
                                            {"digits": Raw("0"), "mode": "up"}, {"digits": Raw("2"), "mode": "ceiling"},
                                            {"digits": Raw("2"), "at": "total"}])
        if rounding:
            self.catalog["rounding"] = rounding
            self.has("rounding.at_total" if "at" in rounding else "rounding.line")

    # ---- accounts ----

    def make_accounts(self, rng):
        count = rng.randrange(1, 3 + 2 * self.size)
        self.accounts, self.memberships = [], []
        for i in range(count):
            record = {"id": "a%d" % i if rng.random() < 0.9 else "a%d/ü" % i}
            if rng.random() < 0.3 or (self.billing_kind.startswith("subscription")
                                      and rng.random() < 0.8):
                since = self.period[0] - rng.randrange(0, 300) * times.DAY + rng.choice(
                    [0, 0, 37 * 60 * times.NS])
                if rng.random() < 0.15:
                    since = self.moment(rng)
                record["since"] = self.date(since)
                self.has("account.since")
            self.accounts.append(record)
        self.ids = [record["id"] for record in self.accounts]
        for i in range(count - 1):  # organizations have higher numbers: no cycles
            if rng.random() < 0.6:
                self.join(rng, i, rng.randrange(i + 1, count))
        if rng.random() < 0.3:
            for i in range(count - 1):
                if not any(m["account"] == self.ids[i] for m in self.memberships) and \
                        rng.random() < 0.5:
                    self.accounts[i]["organization"] = self.ids[count - 1]
                    self.has("membership.undated")

    def join(self, rng, i, organization):
        kind = rng.choice(["always", "joins", "leaves", "moves"])
        member = {"account": self.ids[i], "organization": self.ids[organization]}
        if kind == "always":
            member["from"] = self.date(self.period[0] - 90 * times.DAY)
            self.memberships.append(member)
            self.has("membership.always")
            return
        at = self.moment(rng)
        self.edges.append(at)
        self.has("membership." + kind)
        if kind == "joins":
            self.memberships.append(dict(member, **{"from": self.date(at)}))
        elif kind == "leaves":
            self.memberships.append(dict(member, to=self.date(at)))
        else:
            other = rng.randrange(i + 1, len(self.ids))
            later = at if rng.random() < 0.5 else self.moment(rng)
            first, second = min(at, later), max(at, later)
            self.edges.append(later)
            self.memberships.append(dict(member, to=self.date(first)))
            self.memberships.append({"account": self.ids[i], "organization": self.ids[other],
                                     "from": self.date(second)})

    def all_memberships(self):
        return self.memberships + [{"account": r["id"], "organization": r["organization"]}
                                   for r in self.accounts if r.get("organization")]

    # ---- catalog ----

    def make_catalog(self, rng):
        catalog, self.extra, self.small, self.stubs = self.catalog, self.rng("order"), self.rng("small"), self.rng("stubs")
        count = rng.randrange(1, 3 + self.size)
        self.skus = ["s%d" % i for i in range(count)]
        catalog["products"] = {}
        for i, sku in enumerate(self.skus):
            product = catalog["products"].setdefault("p%d" % (i % 2), {"skus": {}})
            product["skus"][sku] = {"attributes": {"family": rng.choice(["m", "n"]),
                                                   "factor": self.rate(rng)}}
        catalog["products"]["fees"] = {"skus": {name: {} for name in ("fee", "seat", "plan-fee", "own-fee")}}
        self.make_meters(rng)
        catalog["clocks"] = {"tokyo_day": {"every": "day", "zone": "Asia/Tokyo"},
                             "ten_days": {"every": "10 days", "anchor": "2026-09-03T05:45:00Z"},
                             "since_contract": {"every": "month", "anchor": "contract"},
                             "own_month": {"every": "month", "anchor": "subscription"}}
        calendar = {"hours": rng.choice([["mon-fri 07:00-20:00"], ["22:00-06:00"], ["sat-mon 00:00-24:00", "wed 12:30-13:45"],
                                         ["fri-sun 18:15-09:00"]])}
        if rng.random() < 0.6:
            calendar["zone"] = rng.choice(ZONES)
        if rng.random() < 0.3:
            calendar["except"] = ["2026-10-%02d" % rng.randrange(1, 29), "2026-10-25"]
        catalog["calendars"] = {"peak": calendar}
        points = []
        for region in REGIONS[:rng.choice([2, 3, 3])] + [""]:
            points.append([self.date(self.period[0] - 60 * times.DAY), region, self.rate(rng)])
            for at in {self.moment(rng) for _ in range(rng.randrange(0, 4))}:
                points.append([self.date(at), region, self.rate(rng)])
                self.edges.append(at)
        catalog["series"] = {"spot": {"keys": ["region"], "points": points}}
        self.make_table(rng)
        self.shared(rng)
        catalog["prices"] = []
        for sku in self.skus:
            if sku != self.skus[0] and rng.random() < 0.08:
                self.has("unpriced")
                continue
            catalog["prices"] += self.price(rng, sku, sku)
        if rng.random() < 0.2:
            catalog["prices"].append({"sku": "*", "name": "rest", "steps": self.steps(rng, None)})
            self.has("price.star")
        if count >= 2 and rng.random() < 0.25:
            pair = self.skus[:2]
            catalog["prices"] = [p for p in catalog["prices"] if p["sku"] not in pair]
            catalog["prices"] += self.price(rng, list(pair), "pair")
            self.has("price.list")
        self.fixed_prices(rng)

    def make_table(self, rng):
        """Rates by region and size, some since and until a day; they, and the points, may stand in files."""
        rows = [[r, s, self.rate(rng)] for r in REGIONS[:rng.choice([2, 3])] for s in ["", *SIZES]]
        self.catalog["tables"] = {"rates": {"keys": ["region", "size"], "rows": rows}}
        rng = self.rng("tables")
        self.filed = [name for name in ("rates", "spot") if rng.random() < 0.3]
        if rng.random() < 0.7:
            return
        dated = []
        for row in rows:
            starts = sorted({self.moment(rng) for _ in range(rng.randrange(0, 4))})
            self.edges += starts
            if not starts or rng.random() < 0.5:
                starts = [None] + starts
            for start, end in zip(starts, starts[1:] + [None]):
                dates = [None if start is None else self.date(start)]
                if end is not None and end - (start or 0) > times.HOUR and rng.random() < 0.4:
                    dates.append(self.date(rng.choice([end, end - 1800 * times.NS])))
                dated.append(row[:-1] + [self.rate(rng)] + dates)
        self.catalog["tables"]["rates"].update(rows=dated, dated=True)

    def make_meters(self, rng):
        self.meters, hours, rng_clock = {}, self.rng("hours"), self.rng("gathers")
        # The same for all meters: a price may read a dimension only when every meter of the SKU has it.
        dimensions = rng.choice([[], ["region"], ["region", "size"], ["region", "size"]])
        for i, sku in enumerate(self.skus):
            aggregate = rng.choice(["sum"] * 6 + ["count", "count", "max", "latest", "min", "average", "unique",
                                                  "percentile", "time_weighted", "time_weighted"])
            meter = {"event": "use.%s" % sku, "aggregate": aggregate, "sku": sku}
            if aggregate != "count":
                meter["value"] = rng.choice(["data.q"] * 4 + ["data.q * 2", "data.q / 3",
                                                              "number(data.text)", "data.a.b + data.q",
                                                              "data.q * 0.000000000000000007"])
            if aggregate == "unique":
                meter["value"] = rng.choice(["data.size", "data.text", "data.q", "data.res"])
            if aggregate == "percentile":
                meter["percentile"] = rng.choice([50, 95, 90, 100, Raw("99.9"), Raw("0.5")])
            if aggregate == "time_weighted" and rng.random() < 0.5:
                meter["input"] = rng.choice(["level", "level", "delta"])
                self.has("meter.level")
            self.has("meter." + aggregate)
            if dimensions:
                meter["dimensions"] = {d: "data." + d for d in dimensions}
                self.has("meter.dimensions")
            if rng.random() < 0.4:
                meter["resource"] = "data.res"
                self.has("meter.resource")
            grain = rng.random()
            if grain < (0.8 if aggregate == "time_weighted" else 0.25):
                meter["grain"] = "month"
                self.has("grain.month")
            elif grain < 0.4 and aggregate in ("sum", "count"):
                meter["grain"] = "event"
                self.has("grain.event")
            if aggregate == "sum" and meter.get("grain") != "event" and rng.random() < 0.15:
                meter["spread"] = {"from": "data.start", "to": "data.end"}
                self.has("meter.spread")
            if rng.random() < 0.15:
                meter["where"] = rng.choice(['data.state == "on"', 'data.q > 2', 'type != "x"',
                                             'has(data.res)'])
                self.has("meter.where")
            if aggregate in ("latest", "max", "min", "time_weighted") and rng.random() < 0.5:
                meter["carry"] = aggregate != "time_weighted" or rng.random() < 0.5  # a level does without
                self.has("meter.carry")
            if aggregate == "sum" and rng.random() < 0.1:
                meter["negative"] = True
                self.has("meter.negative")
            gathers = rng_clock.random() < 0.15 and "grain" not in meter
            if gathers:
                wide = [] if {"billing"} & set(self.catalog) or len(self.period_text) != 7 else ["week", "month", "month"]
                meter["clock"] = rng_clock.choice(["hour", "day", "day", "tokyo_day", "period"] + wide)
                self.has("meter.clock." + meter["clock"])
            if "where" not in meter and hours.random() < 0.12:
                meter["where"] = hours.choice(['in_calendar("peak")', '!in_calendar("peak")', 'in_calendar("peak") || data.q > 2'])
                self.has("meter.in_calendar")
            if meter.get("value") == "data.q" and aggregate != "unique" and hours.random() < 0.12:
                meter["value"] = 'in_calendar("peak") ? data.q : data.q / 2'
                self.has("meter.in_calendar")
            self.meters["m_" + sku] = meter
        if rng.random() < 0.3:  # one event type, two meters
            source = rng.choice(self.skus)
            target = rng.choice(self.skus)
            extra = {"event": "use.%s" % source, "sku": target}
            other = self.meters["m_" + target]
            for key in ("dimensions", "resource"):
                if key in other:
                    extra[key] = other[key]
            self.meters["calls"] = extra
            self.has("meter.second")
        if rng.random() < 0.3:
            self.meters["named"] = {"event": "use.named", "value": "data.q",
                                    "sku": rng.choice(["data.sku", '"s" + data.n']),
                                    "dimensions": {d: "data." + d for d in dimensions}}
            self.has("meter.sku_by_data")
        self.catalog["meters"] = self.meters

    # ---- numbers ----

    def rate(self, rng):
        return Raw(rng.choice(["0.1", "0.10", "0.023", "1", "2.5", "0.333333", "3", "0.0000007", "12.34",
                               "0"]))

    def limit(self, rng):
        return Raw(rng.choice(["1", "2", "5", "7.5", "10", "12", "20", "33.3", "50"]))

    def money(self, rng, low=1, high=60):
        value = rng.randrange(low * 10 ** self.minor, high * 10 ** self.minor)
        return Raw(plain(Fraction(value, 10 ** self.minor)))

    # ---- steps ----

    def place(self, rng, body, by=True, clocks=True):
        """Scope, keys and clock of a step that accumulates."""
        scope = rng.choice([None, "resource", "account", "organization", "organization",
                            "contract"])
        if scope:
            body["scope"] = scope
        self.has("scope." + (scope or "account"))
        if clocks and rng.random() < 0.5:
            clock = rng.choice(["hour", "day", "week", "month", "quarter", "year", "period",
                                "contract_year", "always", "tokyo_day", "ten_days",
                                "since_contract", "own_month", "day", "month"])
            body["clock"] = clock
            self.has("clock." + clock)
        if by and rng.random() < 0.25:
            body["by"] = rng.choice([["region"], ["size", "region"], ["product"], ["sku"],
                                     ["account"], ["family"]])
            self.has("by." + body["by"][0])
            body["by"] = [key for key in body["by"] if self.known(key)] or ["sku"]
        return body

    def sorts(self, kind, body):
        """An order of its own, another measure; from a stream of their own."""
        rng = self.extra
        charges = kind in ("bound", "round")
        if rng.random() < 0.15 and (kind != "convert" or "clock" in body):
            keys = [["net"], ["-net", "sku"], "-account", ["-amount"]] if charges else [
                ["sku"], "-sku", ["-quantity"], ["account", "-quantity"], ["-attributes.factor", "sku"], ["product", "-events"],
                ["quantity > 3", "-account"]] + [["region"], ["-region", "quantity"]] * self.known("region")
            body["order"] = rng.choice(keys)
            self.has("order." + kind)
        if rng.random() < 0.15 and kind != "convert" and "position" not in body:
            body["measure"] = rng.choice(["amount", "net * 2", "amount / 3"] if charges else [
                "quantity * 2", "quantity * factor", "min(quantity, 3)", "quantity / 7"])
            self.has("measure." + kind)

    def known(self, name):
        if name in ("region", "size"):
            return any(name in m.get("dimensions", {}) for m in self.meters.values())
        return True

    def condition(self, rng):
        choices = ['sku != "s0"', 'product == "p0"', 'account != "a0"', 'attributes.family == "m"']
        if rng.random() < 0.3:
            self.has("in_calendar")
            choices = ['in_calendar("peak")', '!in_calendar("peak")']
        if self.known("region"):
            choices += ['region == "eu"', 'region in ["eu", "us"]', 'dims.region != "us"'] * 2
        return rng.choice(choices)

    def convert(self, rng):
        self.has("convert")
        body, kind = {}, rng.random()
        if kind < 0.3:
            body["multiply"] = rng.choice([Raw("2"), Raw("0.001"), Raw("1.2")])
        elif kind < 0.6:
            body["divide"] = rng.choice([Raw("3"), Raw("60"), "2 * period.hours", Raw("1.5")])
            self.has("convert.divide")
        elif kind < 0.7:
            body["quantity"] = rng.choice(["quantity * 2 + 1", "max(quantity, 3)", "ceil(quantity / 7)"])
            self.has("convert.quantity")
        if rng.random() < 0.3:
            body["minimum"] = self.limit(rng)
            self.has("convert.minimum")
        if rng.random() < 0.4:
            body["increment"] = rng.choice([Raw("1"), Raw("0.25"), [
                {"up_to": Raw("30"), "size": Raw("30")}, {"size": Raw("6")}], [
                {"up_to": Raw("2.5"), "size": Raw("2.5")}, {"up_to": Raw("7.5"), "size": Raw("0.5")},
                {"size": Raw("1")}]])
            self.has("convert.increment")
        if rng.random() < 0.3 or not body:
            body["round"] = {"digits": Raw(rng.choice(["0", "1", "3"])), "mode": rng.choice(
                ["half_up", "half_even", "up", "down", "ceiling", "floor"])}
            self.has("convert.round")
        if "minimum" not in body and rng.random() < 0.35:
            body["clock"] = rng.choice(["period", "day", "month"])
            self.place(rng, body, clocks=False)
            self.has("convert.clock")
            self.sorts("convert", body)
        return {"convert": body}

    def allowance(self, rng, where=True):
        self.has("allowance")
        body, kind = {}, rng.random()
        if kind < 0.75:
            body["quantity"] = rng.choice([self.limit(rng), self.limit(rng), Raw("0"),
                                           "period.days / 4", "turn.days / 2", "period.days / 7 * 0.1"])
            if rng.random() < 0.12:
                body["quantity"] = rng.choice(['usage("s0") / 2', 'usage("s0") + 1'])
                self.has("allowance.usage")
        else:
            body["events"] = Raw(rng.choice(["1", "2", "5"]))
            self.has("allowance.events")
        if rng.random() < 0.35:
            body["emit"] = "free"
            self.has("allowance.emit")
        self.place(rng, body)
        if body.get("clock") == "always" and body.get("quantity") == "turn.days / 2":
            body["quantity"] = self.limit(rng)  # it has no turn
        if rng.random() < 0.15 and isinstance(body.get("quantity"), Raw) and body.get("clock") in ("hour", "day", "tokyo_day"):
            body["rollover"] = rng.choice([Raw("1"), Raw("0.5"), {"amount": Raw("3")},
                                           {"part": Raw("0.25"), "amount": Raw("2")}])
            self.has("allowance.rollover")
        if "quantity" in body and rng.random() < 0.15:
            body["attribute"] = "pro_rata"
            self.has("allowance.pro_rata")
        self.sorts("allowance", body)
        if where and rng.random() < 0.2:
            body["where"] = self.condition(rng)
            self.has("where.step")
        return {"allowance": body}

    def aggregate(self, rng, name="aggregate"):
        function = rng.choice(["sum", "max", "min", "average", "last", "count", "percentile"])
        self.has("aggregate." + function)
        body = self.place(rng, {"function": function})
        if name != "aggregate":
            body["name"] = name
        if function == "percentile":
            body["percentile"] = Raw(rng.choice(["95", "50", "99.9", "12.5", "100"]))
            if rng.random() < 0.5:
                body["method"] = rng.choice(["nearest_rank", "drop_top"])
        if function in ("percentile", "average") and rng.random() < 0.4:
            body["samples"] = Raw(rng.choice(["1", "3", "8"]))
            self.has("aggregate.samples")
        if rng.random() < 0.1:
            body["where"] = self.condition(rng)
        self.sorts("aggregate", body)
        return {"aggregate": body}

    def position(self, rng):
        choices = ["quantity * 2", "ceil(quantity)", "min(quantity, 4) + 1", "quantity - 1",
                   'sku == "s0" ? 0 : 7']
        if self.known("size"):
            choices.append('size == "s" ? 3 : 12.5')
        return rng.choice(choices)

    def rating_formula(self, rng):
        self.has("formula")
        # No squares: an average has 18 digits after the point, and 36 are more than a decimal of some size holds.
        text = rng.choice(["quantity * 2 + 1", "min(quantity * 3, 9) / 7", "factor * quantity"])
        if rng.random() < 0.5:
            return {"formula": text}
        self.has("formula.results")
        return {"formula": {"results": [{"half": "quantity / 2"}, {"most": "min(half, 20)"}],
                            "amount": "most * 0.3 + half"}}

    def tier(self, rng):
        self.has("tier")
        count = rng.choice([1, 2, 2, 3, 4])
        limits = sorted(rng.sample([1, 2, 5, 8, 10, 15, 20, 30, 50, 75], count - 1))
        volume = rng.random() < 0.35
        tiers = []
        packages = rng.random() < 0.25
        flats = rng.random() < 0.35
        for limit in limits + [None]:
            tier = {"rate": self.rate(rng)}
            if limit is not None:
                below = rng.random() < 0.33
                tier["below" if below else "up_to"] = Raw(str(limit))
                if "below" in tier:
                    self.has("tier.below")
            if flats and rng.random() < 0.6:
                tier["flat"] = self.rate(rng)
                self.has("tier.flat")
                if rng.random() < 0.3:
                    del tier["rate"]
            if packages:
                tier["package"] = Raw(rng.choice(["1", "3", "10", "2.5"]))
                self.has("tier.package")
            tiers.append(tier)
        body = {"tiers": tiers}
        self.has("tier.volume" if volume else "tier.graduated")
        if volume:
            body["mode"] = "volume"
        if rng.random() < 0.15:
            body["attribute"] = rng.choice(["in_order", "pro_rata", "none"])
            self.has("attribute." + body["attribute"])
        if rng.random() < 0.15:
            body["at_zero"] = "charge"
            self.has("tier.at_zero")
        if packages and rng.random() < 0.4:
            body["package_round"] = rng.choice(["up", "down", "nearest"])
        if rng.random() < 0.15:
            tiers[-1]["up_to"] = Raw("90")
            body["past_last"] = rng.choice(["last", "free"]) if not volume else "last"
            self.has("tier.past_last")
        if volume and rng.random() < 0.15:
            body["settle"] = "at_end"
            self.has("tier.settle")
        self.place(rng, body)
        if rng.random() < 0.08:
            body["clock"] = "row"
            body.pop("settle", None)
            self.has("clock.row")
        fits = body.get("attribute") != "in_order" if volume else "attribute" not in body and not packages
        if fits and rng.random() < 0.25:
            body["position"] = self.position(rng)
            self.has("tier.position")
        self.sorts("tier", body)
        return {"tier": body}

    def has_single_events(self, sku, steps):
        """Whether each row of a SKU is one event."""
        meters = [m for m in self.meters.values() if m["sku"] == sku or "data." in m["sku"]]
        return isinstance(sku, str) and all(m.get("grain") == "event" for m in meters) and not any(
            "aggregate" in step or step.get("use") == "peak" for step in steps)

    def rating_rate(self, rng, sku=None, steps=()):
        kind = rng.random()
        single = self.has_single_events(sku, steps)
        if kind < (0.4 if single else 0.1):
            self.has("percent")
            if single and rng.random() < 0.8:
                self.has("percent.fixed")
                body = {"rate": self.rate(rng), "fixed": self.rate(rng)}
                if rng.random() < 0.5:
                    body["min"], body["max"] = Raw("0.5"), rng.choice([Raw("2"), Raw("12.75")])
                    self.has("percent.bounds")
                return {"percent": body}
            return {"percent": rng.choice([self.rate(rng), {"rate": self.rate(rng)}])}
        if kind < 0.2:
            return self.rating_formula(rng)
        self.has("rate")
        kind = rng.random()
        if kind < 0.4:
            return {"rate": self.rate(rng)}
        if kind < 0.6:
            body = {"rate": self.rate(rng), "per": Raw(rng.choice(["3", "1000", "7"]))}
            self.has("rate.per")
            if rng.random() < 0.5:
                body["flat"] = self.rate(rng)
                self.has("rate.flat")
            return {"rate": body}
        if kind < 0.7:
            self.has("rate.from")
            return {"rate": {"from": rng.choice(["attributes.factor", "min(quantity, 3)",
                                                 "factor * 2 + 0.5"])}}
        if kind < 0.85:
            self.has("rate.cases")
            return {"rate": {"cases": [
                {"where": self.condition(rng), "rate": self.rate(rng)},
                {"where": "quantity > 5", "rate": self.rate(rng), "flat": self.rate(rng)},
                {"rate": self.rate(rng)}]}}
        if self.known("region") and rng.random() < 0.4:
            self.has("rate.series" + (".file" if "spot" in self.filed else ""))
            return {"rate": {"series": "spot"}}
        if self.known("size") and self.known("region"):
            self.has("rate.table" + (".dated" if "dated" in self.catalog["tables"]["rates"] else "") +
                     (".file" if "rates" in self.filed else ""))
            return {"rate": {"table": "rates"}}
        return {"rate": self.rate(rng)}

    def bound(self, rng):
        self.has("bound")
        body = {}
        kind = rng.choice(["max", "max", "min", "both"])
        if kind in ("max", "both"):
            body["max"] = self.money(rng, 10, 60)
            self.has("bound.max")
        if kind in ("min", "both"):
            body["min"] = self.money(rng, 1, 10)
            self.has("bound.min")
        self.sorts("bound", self.place(rng, body))
        return {"bound": body}

    def round(self, rng):
        self.has("round")
        body = {"digits": Raw(rng.choice(["0", "2", "4"])), "mode": rng.choice(
            ["half_up", "half_even", "up", "down", "ceiling", "floor"])}
        at = rng.random()
        if at < 0.4:
            body["at"] = "bucket"
            self.place(rng, body)
            self.has("round.bucket")
        elif at < 0.7:
            body["at"] = "line"
            self.has("round.line")
        if rng.random() < 0.5:
            body["show"] = True
            self.has("round.show")
        self.lifts(body)
        self.sorts("round", body)
        if "at" not in body:
            body.pop("order", None)  # each charge is rounded alone
        return {"round": body}

    def lifts(self, body):
        """Whether a rounding lifts small amounts; from a stream of its own."""
        if self.small.random() < 0.3:
            body["small"] = "up"
            self.has("round.small")

    def steps(self, rng, sku, simple=False):
        meter = self.meters.get("m_%s" % sku, {}) if isinstance(sku, str) else {}
        negative = any(m.get("negative") for m in self.meters.values())
        if negative and (sku is None or isinstance(sku, list) or meter.get("negative")):
            steps = [{"rate": self.rate(rng)}]
            if rng.random() < 0.5:
                steps.insert(0, self.allowance(rng))
                self.has("allowance.negative")
            return steps
        out = []
        if rng.random() < 0.35:
            out.append(self.convert(rng))
        if rng.random() < 0.15:
            out.append(self.aggregate(rng))
            if rng.random() < 0.25:
                out.append(self.aggregate(rng, "again"))
                self.has("aggregate.two")
        if "peak" in self.catalog.get("steps", {}) and rng.random() < 0.4:
            out.append({"use": "peak"})
            self.has("shared.aggregate")
        if "pool" in self.catalog.get("steps", {}) and rng.random() < 0.5:
            out.append({"use": "pool"})
            self.has("shared.allowance")
        if rng.random() < 0.35:
            out.append(self.allowance(rng))
            if rng.random() < 0.2:
                second = self.allowance(rng)
                second["allowance"]["name"] = "more"
                out.append(second)
                self.has("allowance.two")
        if "joint" in self.catalog.get("steps", {}) and rng.random() < 0.4:
            out.append({"use": "joint"})
            self.has("shared.tier")
        else:
            out.append(self.tier(rng) if rng.random() < 0.6 else self.rating_rate(rng, sku, out))
        if rng.random() < 0.2:
            out.append(self.round(rng))
        if rng.random() < 0.25:
            out.append(self.bound(rng))
        if "roof" in self.catalog.get("steps", {}) and rng.random() < 0.4:
            out.append({"use": "roof"})
            self.has("shared.bound")
        return out

    def shared(self, rng):
        steps = {}
        if rng.random() < 0.35:
            steps["pool"] = self.allowance(rng)
        if rng.random() < 0.15:
            steps["peak"] = self.aggregate(rng)
        if rng.random() < 0.3:
            steps["joint"] = self.tier(rng)
        if rng.random() < 0.25:
            steps["roof"] = self.bound(rng)
        if steps:
            self.catalog["steps"] = steps

    # ---- prices ----

    def price(self, rng, sku, name):
        """One price of a SKU: its versions, and a variant by dimension."""
        first = {"sku": sku, "name": name, "steps": self.steps(rng, sku)}
        if rng.random() < 0.15:
            first["grain"] = "hour"
            self.has("price.hour")
            if self.has_single_events(sku, []) and not isinstance(sku, list):
                first["grain"] = "event"
                self.has("price.event")
        out = [first]
        if rng.random() < 0.45:
            at = self.moment(rng)
            self.edges.append(at)
            self.has("price.versions")
            for step in first["steps"]:  # new buckets with each version
                for kind in ("tier", "allowance", "bound"):
                    if kind in step and "min" not in step[kind] and "rollover" not in step[kind] and \
                            rng.random() < 0.15:
                        step[kind]["on_change"] = "restart"
                        self.has("restart." + kind)
            first["to"] = self.date(at)
            second = dict(first, **{"from": self.date(at)})
            del second["to"]
            if rng.random() < 0.7:
                second["steps"] = self.revise(rng, first["steps"])
            else:
                second["steps"] = renamed(self.steps(rng, sku))
                self.has("price.versions_differ")
            out.append(second)
            if rng.random() < 0.25:
                at = min(self.period[1] - times.NS, at + rng.randrange(1, 40) * 10 * 60 * times.NS)
                self.edges.append(at)
                second["to"] = self.date(at)
                out.append(dict(first, **{"from": self.date(at)}))
                del out[-1]["to"]
        elif rng.random() < 0.15:
            at = self.moment(rng)
            self.edges.append(at)
            first[rng.choice(["from", "to"])] = self.date(at)
            self.has("price.part")
            self.prorate(rng, [first])
        if isinstance(sku, str) and "region" in self.meters["m_" + sku].get("dimensions", {}) and \
                rng.random() < 0.25:
            out.append({"sku": sku, "name": name + "-eu", "where": {"region": rng.choice(
                ["eu", ["eu", "ap"]])}, "steps": self.steps(rng, sku)})
            self.has("price.where")
        return out

    def prorate(self, rng, prices):
        """Limits of some steps are those of a part of the turn.  Versions share what they have in common."""
        for price in prices:
            for step in price["steps"] if isinstance(price, dict) else ():
                for kind in ("allowance", "bound"):
                    if kind in step and step[kind].get("clock") != "always" and "rollover" not in step[kind] and \
                            rng.random() < 0.5:
                        step[kind]["prorate"] = rng.choice(["second", "day", "day_inclusive", "30_day"])
                        self.has("prorate." + kind)

    def revise(self, rng, steps):
        """The same steps with other numbers: a new version."""
        out = json.loads(json.dumps(steps))
        for before, step in zip(steps, out):
            (kind, body), = before.items()
            if kind == "use":
                continue
            (kind, new), = step.items()
            if kind == "tier":
                for tier in new["tiers"]:
                    if "rate" in tier:
                        tier["rate"] = self.rate(rng)
            elif kind == "allowance" and "quantity" in new:
                new["quantity"] = self.limit(rng)
            elif kind == "bound":
                for key, low, high in (("max", 10, 60), ("min", 1, 10)):
                    if key in new:
                        new[key] = self.money(rng, low, high)
            elif kind == "rate" and not isinstance(new, dict):
                step["rate"] = self.rate(rng)
        return remake(out)

    def fixed_step(self, rng, dated):
        body = {"amount": self.money(rng)}
        self.has("fixed")
        when = rng.choice([None, "in_arrears", "in_advance", "once"])
        if when:
            body["when"] = when
            self.has("fixed." + when)
        if rng.random() < 0.3:
            body["quantity"] = Raw(rng.choice(["2", "0.5", "7"]))
        if when != "once":
            prorate = rng.choice(["second", "day", "day_inclusive", "30_day"] if dated and
                                 rng.random() < 0.8 else
                                 [None, None, None, "second", "day", "day_inclusive", "30_day"])
            if prorate:
                body["prorate"] = prorate
                self.has("fixed.prorate")
                self.has("fixed." + prorate)
                if rng.random() < 0.3:
                    body["digits"] = Raw("9")
                    body["mode"] = rng.choice(["half_up", "up"])
            if rng.random() < 0.4:
                body["clock"] = rng.choice(["month", "day", "week", "year", "quarter"])
                self.has("fixed.clock")
        self.measures(body)
        return {"fixed": body}

    def measures(self, body):
        """Clocks of all kinds, and against what a first part is measured on them; from a stream of its own."""
        rng = self.stubs
        if body.get("when") == "once":
            return
        if rng.random() < 0.4:
            body["clock"] = rng.choice(["month", "quarter", "year", "period", "ten_days", "own_month", "since_contract",
                                        "since_contract", "contract_year", "tokyo_day"])
            self.has("fixed.clock." + body["clock"])
        if rng.random() < 0.5:
            body.setdefault("prorate", rng.choice(["second", "day", "day_inclusive", "30_day"]))
            body["stub"] = rng.choice(["back", "back", "turn"])
            self.has("fixed.stub." + body["stub"])

    def fixed_prices(self, rng):
        if rng.random() < 0.3:
            price = {"sku": "fee", "name": "fee", "steps": [self.fixed_step(rng, False)]}
            if rng.random() < 0.3:
                price["steps"][0]["fixed"]["scope"] = "organization"
                self.has("fixed.organization")
            self.catalog["prices"].append(price)
            if price["steps"][0]["fixed"].get("when") == "once" or rng.random() < 0.3:
                at = self.moment(rng, odd=rng.random() < 0.5)
                self.edges.append(at)
                price["from"] = self.date(at)
        if rng.random() < 0.2:
            at = self.moment(rng, odd=rng.random() < 0.3)
            step = self.fixed_step(rng, True)
            other = {"fixed": dict(step["fixed"], amount=self.money(rng))}
            self.edges.append(at)
            self.catalog["prices"] += [
                {"sku": "seat", "name": "seat", "to": self.date(at), "steps": [step]},
                {"sku": "seat", "name": "seat", "from": self.date(at), "steps": [other]}]
            self.has("fixed.versions")

    def fee_name(self, rng, own):
        """A name of its own, or one of a wider level, which it then replaces."""
        name = rng.choice([own, "fee", "seat", "plan-fee"])
        if name != own:
            self.has("fixed.instead")
        return name

    # ---- contracts, plans, overrides ----

    def make_contracts(self, rng):
        catalog = self.catalog
        if rng.random() < 0.4:
            plan = {"prices": []}
            sku = rng.choice(self.skus)
            plan["prices"] += self.price(rng, sku, "plan-" + sku)
            if rng.random() < 0.4:
                name = self.fee_name(rng, "plan-fee")
                plan["prices"].append({"sku": name, "name": name,
                                       "steps": [self.fixed_step(rng, False)]})
                if plan["prices"][-1]["steps"][0]["fixed"].get("when") == "once":
                    plan["prices"][-1]["from"] = self.date(self.moment(rng))
                self.has("plan.fixed")
            private = [p for p in catalog["prices"] if p["sku"] in self.skus and "from" not in p
                       and "to" not in p and p["sku"] != sku and "where" not in p]
            if private and rng.random() < 0.4:
                private[0]["public"] = False
                plan["prices"].append(private[0]["name"])
                self.has("plan.named")
            catalog["plans"] = {"pro": plan}
            self.has("plan")
            if rng.random() < 0.5:  # so that contracts change plans
                other = rng.choice([sku, rng.choice(self.skus)])
                catalog["plans"]["basic"] = {"prices": self.price(rng, other, "basic-" + other)}
                self.has("plan.second")
            for one in catalog["plans"].values():
                self.prorate(rng, one["prices"])
            for record in self.accounts:
                if rng.random() < 0.4:
                    record["plan"] = rng.choice(list(catalog["plans"]))
            if rng.random() < 0.15:
                catalog["default_plan"] = rng.choice(list(catalog["plans"]))
                self.has("plan.default")
        contracts = []
        for account in self.ids:
            if rng.random() < 0.35:
                contracts += self.contract(rng, account)
        if contracts:
            catalog["contracts"] = contracts
            self.has("contract")

    def contract(self, rng, account):
        sku = rng.choice(self.skus)
        start = self.period[0] - rng.randrange(20, 500) * times.DAY + rng.choice(
            [0, 0, 9 * times.HOUR + 41 * 60 * times.NS])
        contract = {"id": "c-" + account, "buyer": account, "from": self.date(start)}
        if rng.random() < 0.7:
            contract["prices"] = self.price(rng, sku, "own-" + sku)
            self.has("contract.prices")
        if rng.random() < 0.25:
            name = self.fee_name(rng, "own-fee")
            contract.setdefault("prices", []).append(
                {"sku": name, "name": name, "steps": [self.fixed_step(rng, False)]})
            if contract["prices"][-1]["steps"][0]["fixed"].get("when") == "once":
                contract["prices"][-1]["from"] = self.date(self.moment(rng))
            self.has("contract.fixed")
        if "plans" in self.catalog and rng.random() < 0.4:
            contract["plan"] = rng.choice(list(self.catalog["plans"]))
            self.has("contract.plan")
        kind = rng.random()
        if kind < 0.25:
            contract["billing"] = {"every": rng.choice(["month", "month", "week"]),
                                   "anchor": "contract"}
            self.has("contract.billing")
            if rng.random() < 0.5:
                return [contract]
            kind = rng.uniform(0.25, 0.6)
        if kind < 0.6:
            at = self.moment(rng)
            self.edges.append(at)
            self.has("contract.mid")
            if rng.random() < 0.4:
                contract["from"] = self.date(at)
            else:
                contract["to"] = self.date(at)
                if rng.random() < 0.5:
                    second = {"id": "d-" + account, "buyer": account, "from": self.date(at),
                              "prices": self.price(rng, sku, "next-" + sku)}
                    if "plan" in contract and rng.random() < 0.7:
                        second["plan"] = rng.choice([contract["plan"], *self.catalog["plans"]])
                    if rng.random() < 0.3:
                        name = self.fee_name(rng, "own-fee")
                        second["prices"].append({"sku": name, "name": name,
                                                 "steps": [self.fixed_step(rng, False)]})
                    if "billing" in contract and rng.random() < 0.6:
                        second["billing"] = rng.choice([contract["billing"], {"every": "week"}, {"every": "month"},
                                                        {"every": "month", "anchor": "contract"}])
                        self.has("billing.next")
                    self.has("contract.next")
                    return [contract, second]
        return [contract]

    @staticmethod
    def priced_lists(catalog):
        """(price, list of steps) of the catalog, its plans and contracts."""
        owners = [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]
        for price in [p for owner in owners for p in owner.get("prices", []) if isinstance(p, dict)]:
            for steps in [price.get("steps", []), *price.get("components", {}).values()]:
                yield price, steps

    def make_parameters(self, rng):
        """Some contracts say a number, and some fees and allowances ask for it."""
        if "contracts" not in self.catalog or rng.random() < 0.4:
            return
        for contract in self.catalog["contracts"]:
            if rng.random() < 0.7:
                contract["parameters"] = {"n": Raw(rng.choice(["1", "3", "10", "2.5"]))}
                self.has("contract.parameters")
        owners = [self.catalog, *self.catalog.get("plans", {}).values(), *self.catalog["contracts"]]
        lists = [steps for _, steps in self.priced_lists(self.catalog)] + [owner.get("terms", []) for owner in owners]
        for steps in lists if "contract.parameters" in self.features else []:
            for step in steps:
                (kind, body), = step.items()
                key = {"fixed": "quantity", "allowance": "quantity", "rate": "rate", "percent": "rate",
                       "discount": "percent", "markup": "percent", "bound": "max"}.get(kind)
                if key is None or not isinstance(body, dict) or rng.random() < 0.6:
                    continue
                known = isinstance(body.get(key), Raw) and "rollover" not in body and "min" not in body
                if kind == "fixed" or known:
                    body[key] = "has(contract.n) ? contract.n : 2"
                    self.has(kind + ".parameter")

    def fit_events(self, catalog):
        """Allowances of events are of meters that have a row for each, or count them, or spread them."""
        def fits(price):
            names = price["sku"] if isinstance(price["sku"], list) else [price["sku"]]
            return all(m.get("grain") == "event" or m.get("aggregate") == "count" or "spread" in m
                       for m in self.meters.values() if "*" in names or m["sku"] in names)

        for price, steps in self.priced_lists(catalog):
            for i, step in enumerate(steps):
                shared = catalog.get("steps", {}).get(step.get("use"))
                body = (shared or step).get("allowance")
                if not isinstance(body, dict) or "events" not in body or fits(price):
                    continue
                of = dict(body)
                del of["events"]
                of.setdefault("quantity", Raw("5"))
                if shared:
                    catalog["steps"][step["use"]] = {"allowance": of}
                else:
                    steps[i] = {"allowance": of}

    def make_overrides(self, rng):
        self.overrides = []
        for account in self.ids:
            if rng.random() < 0.15:
                sku = rng.choice(self.skus)
                if self.meters["m_" + sku].get("negative"):
                    continue
                base = {"account": account, "sku": sku}
                if rng.random() < 0.5:
                    at = self.moment(rng)
                    base[rng.choice(["from", "to"])] = self.date(at)
                    self.edges.append(at)
                    self.has("override.dated")
                self.has("override")
                if rng.random() < 0.5:
                    self.overrides.append(dict(base, rate=self.rate(rng)))
                else:
                    for limit in ["5", "20", ""]:
                        self.overrides.append(dict(base, up_to=limit, rate=self.rate(rng)))
                    self.has("override.tiers")

    # ---- events ----

    def event_time(self, rng):
        kind = rng.random()
        start, end = self.period
        if kind < 0.78:
            at = rng.randrange(start, end)
            if rng.random() < 0.4:  # several in one hour
                at = start + (at - start) // (6 * times.HOUR) * 6 * times.HOUR + rng.randrange(
                    times.HOUR)
        elif kind < 0.92:
            at = rng.choice(self.edges) + rng.choice(
                [0, 0, -1, 1, -60 * times.NS, 20 * 60 * times.NS, rng.randrange(times.HOUR)])
        else:
            at = rng.choice([start, end]) + rng.randrange(-40 * times.DAY, 40 * times.DAY)
        grain = rng.choice([1, 1000, times.NS, times.NS, times.NS, 60 * times.NS])
        return max(1, at // grain * grain if kind < 0.78 else at)

    def make_events(self, rng):
        self.events = []
        types = sorted({m.get("event") for m in self.meters.values()})
        for i in range(rng.randrange(3, 12 + 25 * self.size)):
            kind = rng.choice(types)
            data = {"q": Raw(rng.choice(["1", "2", "3.5", "0", "0.25", "7", "10", "12.125", "40", "0.1",
                                         "6", "100"])),
                    "region": rng.choice(REGIONS), "size": rng.choice(SIZES),
                    "res": "r%d" % rng.randrange(3), "state": rng.choice(["on", "on", "off"]),
                    "text": rng.choice(["4", "2.5", "1"]), "a": {"b": Raw("1")}}
            if kind == "use.named":
                n = rng.choice(self.skus + ["nothing"])
                data.update(sku=n, n=n[1:])
            start = self.event_time(rng)
            end = start + rng.choice([0, rng.randrange(times.HOUR), rng.randrange(30 * times.HOUR), -1])
            data.update(start=times.form(start), end=times.form(max(1, end)))
            record = {"specversion": "1.0", "id": "e%d" % i, "source": rng.choice(["x", "x", "y/z"]),
                      "type": kind, "subject": rng.choice(self.ids),
                      "time": times.form(self.event_time(rng)), "data": data}
            fault = rng.random()
            if fault < 0.1:
                self.spoil(rng, record)
            self.events.append(record)

    def spoil(self, rng, record):
        """What the catalog excludes, by name."""
        kind = rng.choice(["missing", "type", "negative", "account", "meter", "dimension", "resource",
                           "huge"])
        data = record["data"]
        if kind in ("huge", "negative") and any(m.get("aggregate") == "time_weighted" for m in self.meters.values()):
            # Times a month's seconds it is beyond what tiers and decimals hold, and negative levels below them.
            kind = "meter"
        self.has("event." + kind)
        if kind == "missing":
            del data[rng.choice(["q", "text", "state"])]
        elif kind == "type":
            data[rng.choice(["q", "text", "region"])] = rng.choice(
                ["many", True, {"x": Raw("1")}, [Raw("1")], {}, []])
        elif kind == "negative":
            data["q"] = Raw("-3")
            data["text"] = "-1"
        elif kind == "account":
            record["subject"] = "nobody"
        elif kind == "meter":
            record["type"] = "use.else"
        elif kind == "dimension":
            del data[rng.choice(["region", "size"])]
        elif kind == "resource":
            del data["res"]
        elif "formula" not in str(self.catalog) and "measure" not in str(self.catalog):  # products of too many digits
            data["q"] = Raw("123456789012345678.25")

    # ---- components ----

    def make_components(self, rng):
        """Some prices get a second list of steps, and a charge step behind both."""
        if rng.random() > 0.25:
            return
        kinds = {}
        for price in self.catalog["prices"]:
            if "fixed" in price["steps"][0] or "list" in price or "percent" in str(price["steps"]) or rng.random() > 0.4:
                continue
            if kinds.setdefault(price["name"], rng.random() < 0.5):  # versions of a component have one kind of step
                second = [{"rate": self.rate(rng)}]
            else:
                second = [{"tier": {"tiers": [{"up_to": Raw("8"), "rate": self.rate(rng)}, {"rate": self.rate(rng)}]}}]
            if rng.random() < 0.4:
                second.insert(0, {"allowance": {"quantity": Raw(rng.choice(["0", "2.5", "10"])),
                                                "scope": rng.choice(["account", "organization"])}})
            if rng.random() < 0.3:
                second.append({"bound": {"max": Raw("20"), "clock": rng.choice(["day", "period"])}})
            price["components"] = {"one": price["steps"], "two": second}
            price["steps"] = [{"bound": {"name": "behind", "max": Raw("45.5"), "scope": rng.choice(["account", "organization"])}}]
            if self.catalog.get("currency") == "JPY":
                price["steps"] = []
            self.has("components")

    # ---- lines ----

    BAD = ['{', 'nonsense', '{"id":}', '[1,2', '{"specversion":"1.0","id":"b1","source":"x"',
           '{"specversion":"1.0","id":"b2","id":"b3","source":"x","type":"t","subject":"a0",'
           '"time":"2026-10-01T00:00:00Z","data":{}}']

    def make_lines(self, rng):
        """The canonical input, with late copies, conflicts, withdrawals and lines that are refused."""
        lines = [vary_event(e) for e in self.events]
        more = []
        for event in self.events:
            kind = rng.random()
            if kind < 0.08:
                more.append(vary_event(event, rng))
                self.has("line.duplicate")
            elif kind < 0.13:
                other = json.loads(json.dumps(event))
                where = rng.choice(["q", "subject", "time", "type"])
                if where == "q":
                    other["data"]["q"] = rng.choice([1, 9, 15])
                elif where == "subject":
                    other["subject"] = rng.choice(self.ids)
                elif where == "time":
                    other["time"] = times.form(self.event_time(rng))
                else:
                    other["type"] = rng.choice(["use.else", "use.s0"])
                other = remake_event(other)
                more += [vary_event(other, rng)] * rng.choice([1, 1, 2])
                self.has("line.conflict")
            elif kind < 0.18:
                more.append(vary_event(self.withdrawal(event["source"], event["id"],
                                                       len(more)), rng))
                self.has("line.withdrawal")
        if rng.random() < 0.3:
            more.append(vary_event(self.withdrawal("x", "never", "n"), rng))
        for _ in range(rng.choice([0, 0, 1, 3])):
            more.append(self.bad_line(rng))
            self.has("line.bad")
        if len(self.events) > 3 and rng.random() < 0.15:
            batch = [lines.pop(rng.randrange(len(lines))) for _ in range(2)]
            more.append("[" + ", ".join(batch) + "]")
            self.has("line.batch")
        if rng.random() < 0.2:
            more.append("")
        self.lines = lines
        for line in more:
            self.lines.insert(rng.randrange(len(self.lines) + 1), line)

    def withdrawal(self, source, key, number):
        return {"specversion": "1.0", "id": "w%s" % number, "source": "withdraw",
                "type": "farthing.withdrawal", "subject": self.ids[0],
                "time": times.form(self.period[0]), "data": {"source": source, "id": key}}

    def bad_line(self, rng):
        if rng.random() < 0.4:
            return rng.choice(self.BAD)
        event = dict(self.events[0], id="bad%d" % rng.randrange(9))
        event["data"] = dict(event["data"])
        kind = rng.choice(["missing", "type", "empty", "time", "zone", "scale", "range", "data", "year"])
        if kind == "missing":
            del event[rng.choice(["id", "source", "type", "subject", "time", "specversion"])]
        elif kind == "type":
            event[rng.choice(["id", "subject", "time"])] = Raw("5")
        elif kind == "empty":
            event[rng.choice(["id", "source", "subject"])] = ""
        elif kind == "time":
            event["time"] = rng.choice(["2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "yesterday",
                                        "2026-10-01T24:00:01Z"])
        elif kind == "zone":
            event["time"] = "2026-10-05T00:00:00"
        elif kind == "year":
            event["time"] = rng.choice(["1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z"])
        elif kind == "scale":
            event["data"]["q"] = Raw("0.1234567890123456789")
        elif kind == "range":
            event["data"]["q"] = Raw("1" * 40)
        else:
            event["data"] = "text"
        return vary_event(event)


def renamed(steps):
    """The steps under names of their own: other buckets."""
    out = []
    for step in steps:
        (kind, body), = step.items()
        if kind != "use":
            if not isinstance(body, dict):
                body = {{"percent": "rate", "formula": "amount"}.get(kind, kind): body}
            step = {kind: dict(body, name=body.get("name", kind) + "2")}
        out.append(step)
    return out


def remake(value):
    """Numbers of a catalog that went through JSON, as they are to be written."""
    if isinstance(value, dict):
        return {k: remake(v) for k, v in value.items()}
    if isinstance(value, list):
        return [remake(v) for v in value]
    if isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return Raw(value)
    return value


def remake_event(value):
    """As remake, but texts stay texts: only q and b of data are numbers."""
    def fix(key, item):
        if isinstance(item, dict):
            return {k: fix(k, v) for k, v in item.items()}
        if key in ("q", "b", "x") and isinstance(item, (str, int)) and not isinstance(item, bool) \
                and str(item).lstrip("-").replace(".", "", 1).isdigit():
            return Raw(item)
        return item
    return fix("", value)
