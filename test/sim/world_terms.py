"""Terms of random worlds: of plans, of contracts, of the catalog, and the same steps in prices.

They draw from streams of their own, so that a world without them stays as it was."""
import copy
import json
import random

import times
from usage import WITHDRAWAL, Refused, read_line
from world import LEFT, OPEN, Raw, write_json

# What the engine has.  `--open NAME` lets in what it has not: terms.discount (in lists of terms), steps.discount (in prices), ...
ON = {"terms." + kind for kind in ("round", "discount", "markup", "bound", "fee", "tax", "commit", "credit", "allocate")} | {
    "steps." + kind for kind in ("discount", "markup", "fee", "tax", "commit", "credit")} | {
    "cover", "cover.free", "cover.sharing"}
KINDS = ("discount", "markup", "bound", "fee", "tax", "round", "commit", "credit", "allocate")


def allowed(name):
    return name in ON or name in OPEN


def add(world):
    """Terms where the engine has some; steps of the same kinds behind ratings."""
    rng = world.rng("terms")
    kinds = [kind for kind in KINDS if allowed("terms." + kind)]
    if kinds and rng.random() < 0.6:
        catalog = world.catalog
        if rng.random() < 0.6:
            catalog["terms"] = Maker(world, rng, kinds).terms()
            world.has("terms.catalog")
        for plan in catalog.get("plans", {}).values():
            if rng.random() < 0.5:
                plan["terms"] = Maker(world, rng, kinds).terms()
                world.has("terms.plan")
        for contract in catalog.get("contracts", []):
            if rng.random() < 0.5:
                contract["terms"] = Maker(world, rng, kinds).terms()
                world.has("terms.contract")
    rng = world.rng("charge steps")
    kinds = [kind for kind in KINDS if kind not in ("bound", "round") and allowed("steps." + kind)]
    if kinds and rng.random() < 0.3:
        lined_up = None
        for steps in price_steps(world.catalog):
            if rng.random() < 0.4:
                made = Maker(world, rng, kinds).one()
                (body,) = made.values()
                if "credit" in made:  # versions of a price pay in one order
                    said = {key: body.pop(key) for key in ("clock", "targets", "largest") if key in body}
                    lined_up = said if lined_up is None else lined_up
                    body.update(copy.deepcopy(lined_up))
                body["name"] = "extra_" + next(iter(made))  # versions of a price may have several
                if "targets" in body:  # which is an order: rows that meet have one
                    body["name"] += "_" + "".join(target[0] for target in body["targets"])
                body.pop("prepaid", None)  # what is paid before it is used is a term's
                if of_all(world.catalog, steps):
                    for grant in body.get("grants", []):  # who has such a price is not told by usage of a SKU
                        grant.pop("cost", None)
                steps.append(made)
                world.has("steps." + next(iter(made)))


def in_advance(catalog):
    for steps in price_steps(catalog):
        for step in steps:
            if "fixed" in step and step["fixed"].get("when") != "once" and "installments" not in step["fixed"]:
                step["fixed"]["when"] = "in_advance"


def of_all(catalog, steps):
    """Whether a price of several SKUs has these steps: each has a wallet of its own, and sells none."""
    return any((price.get("sku") == "*" or isinstance(price.get("sku"), list)) and price.get("steps") is steps
               for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]
               for price in owner.get("prices", []) if isinstance(price, dict))


def price_steps(catalog):
    """The lists of steps that have a rating, each once: versions may share one."""
    seen = []
    for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        for price in owner.get("prices", []):
            if isinstance(price, dict) and not any(price["steps"] is other for other in seen):
                seen.append(price["steps"])
    return seen


def component_lists(catalog):
    return [steps for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]
            for price in owner.get("prices", []) if isinstance(price, dict) for steps in price.get("components", {}).values()]


class Maker:
    """A list of terms."""

    def __init__(self, world, rng, kinds):
        self.world, self.rng, self.kinds = world, rng, kinds

    def pick(self, *choices):
        return self.rng.choice(choices)

    def terms(self):
        out = []
        for i in range(self.pick(1, 1, 2, 2, 3, 4)):
            term = self.one()
            (body,) = term.values()
            body["name"] = "t%d" % i
            out.append(term)
        self.group(out)
        return out

    def group(self, terms):
        """Some of the percentages exclude each other."""
        fit = [body for term in terms for kind, body in term.items() if kind in ("discount", "markup") and "percent" in body]
        if len(fit) > 1 and self.rng.random() < 0.5:
            best = self.rng.random() < 0.4
            for body in fit:
                body["exclusive"] = "group"
                if best:
                    body["best"] = "buyer"
            self.world.has("terms.best" if best else "terms.exclusive")

    def one(self):
        kind = self.rng.choice(self.kinds)
        self.world.has("terms." + kind)
        body = getattr(self, kind)()
        if self.rng.random() < 0.3:
            body["where"] = self.condition()
            self.world.has("terms.where")
        return {kind: body}

    def condition(self):
        choices = ['kind == "usage"', 'kind != "fee"', 'sku != "s0"', 'sku in ["s0", "fee", "seat"]', 'account != "a0"',
                   "amount > 2", "net < 10", 'step == "tier"', 'product == "p0"', 'product != "fees"']
        if self.world.known("region"):
            choices += ['region == "eu"', 'region in ["eu", ""]'] * 2
        return self.rng.choice(choices)

    def place(self, body, by=True, clocks=True, scope=True):
        rng, world = self.rng, self.world
        if scope and rng.random() < 0.7:
            body["scope"] = self.pick("resource", "account", "organization", "organization", "contract")
            world.has("terms.scope." + body["scope"])
        if by and rng.random() < 0.2:
            body["by"] = [self.pick("sku", "product", "account")]
        if clocks and rng.random() < 0.4:
            body["clock"] = self.pick("day", "week", "month", "quarter", "year", "period", "contract_year", "always", "ten_days")
            world.has("terms.clock." + body["clock"])
            if body["clock"] == "always":
                body.pop("prorate", None)  # all time has no part
        return body

    def percent(self):
        return Raw(self.pick("10", "12.5", "33.3333", "5", "50", "0.7", "100"))

    def tiers(self):
        limits = sorted(self.rng.sample([1, 3, 8, 15, 40, 90], self.pick(1, 2)))
        out = [{"up_to" if self.rng.random() < 0.7 else "below": Raw(str(n)), "percent": self.percent()} for n in limits]
        return out + [{"percent": self.percent()}]

    def money(self, low=1, high=30):
        return self.world.money(self.rng, low, high)

    def discount(self):
        rng, body = self.rng, {}
        kind = rng.random()
        if kind < 0.5:
            body["percent"] = self.percent()
        elif kind < 0.65:
            body["tiers"] = self.tiers()
            if rng.random() < 0.4:
                body["mode"] = "volume"
            self.place(body)
            self.world.has("terms.tiers")
        elif kind < 0.9:
            body["amount"] = self.money()
            self.place(body)
            self.world.has("terms.amount")
        else:
            body["quantity"] = self.world.limit(rng)
            self.place(body)
            self.world.has("terms.quantity")
        if rng.random() < 0.3:
            body["base"] = self.pick("gross", "gross", "net")
            self.world.has("terms.base")
        if rng.random() < 0.15:
            body["limit"] = {self.pick("amount"): self.money(1, 8)}
            self.world.has("terms.limit")
        return body

    markup = discount

    def bound(self):
        body = {}
        kind = self.pick("max", "min", "both")
        if kind != "min":
            body["max"] = self.money(10, 60)
        if kind != "max":
            body["min"] = self.money(1, 10)
            if self.rng.random() < 0.2:
                body["attribute"] = "pro_rata"
        if self.rng.random() < 0.2:
            body["prorate"] = self.pick("day", "second")
        return self.place(body)

    def fee(self):
        body = {}
        if self.rng.random() < 0.5:
            body["percent"] = self.percent()
        else:
            body["tiers"] = self.tiers()
            if self.rng.random() < 0.3:
                body["mode"] = "volume"
        if self.rng.random() < 0.4:
            body["min"] = self.money(1, 6)
        if self.rng.random() < 0.3:
            body["max"] = self.money(6, 20)
        if self.rng.random() < 0.4:
            body["sku"] = "fee"
        if self.rng.random() < 0.2:
            body["prorate"] = self.pick("day", "second")
            if "min" not in body and "max" not in body:
                del body["prorate"]  # it is of limits
        return self.place(body)

    def tax(self):
        body = {"percent": self.percent()}
        if self.rng.random() < 0.6:
            body["round"] = self.pick(Raw("2"), {"digits": Raw("1"), "mode": self.pick("half_even", "up", "half_up")})
            if self.rng.random() < 0.7:
                body["at"] = self.pick("line", "rate", "total", "total")
                self.world.has("terms.tax." + body["at"])
        if self.rng.random() < 0.2:
            body["inclusive"] = True
            self.world.has("terms.tax.inclusive")
        if self.rng.random() < 0.2:
            body[self.pick("exempt", "reverse_charge")] = self.pick('sku == "s0"', 'account == "a1"')
        if self.rng.random() < 0.3:
            body["scope"] = self.pick("account", "organization")
        return body

    def round(self):
        body = {"digits": Raw(self.pick("0", "2", "4")), "mode": self.pick("half_up", "half_even", "up", "down")}
        at = self.rng.random()
        if at < 0.4:
            body["at"] = "bucket"
            self.place(body)
        elif at < 0.7:
            body["at"] = "line"
        if self.rng.random() < 0.6:
            body["show"] = True
        self.world.lifts(body)
        return body

    def commit(self):
        body = {"amount": self.money(5, 60)}
        if self.rng.random() < 0.5:
            body["overage"] = Raw(self.pick("1.5", "2", "0.5"))
        if self.rng.random() < 0.3:
            body["prepaid"] = Raw("true")
            self.place(body, by=False)
            if body.get("scope") == "resource":
                del body["scope"]
            if body.get("clock") == "always":
                del body["clock"]
            return body
        if self.rng.random() < 0.3:
            body["shortfall"] = "none"
        self.world.has("terms.commit")
        return self.place(body)

    def credit(self):
        grants = []
        for i in range(self.pick(1, 1, 2, 3)):
            grant = {"id": "g%d" % i, "amount": self.money(2, 40)}
            if self.rng.random() < 0.5:
                grant["priority"] = Raw(self.pick("1", "2", "3"))
            if self.rng.random() < 0.4:
                grant["from"] = self.world.date(self.world.moment(self.rng))
                if self.rng.random() < 0.5:
                    grant["cost"] = self.money(1, 20)
                if self.rng.random() < 0.3:
                    grant["every"] = self.pick("day", "week", "month")
            elif self.rng.random() < 0.4:
                grant["to"] = self.world.date(self.world.moment(self.rng))
            if self.rng.random() < 0.2:
                grant["where"] = self.condition()
            grants.append(grant)
        body = {"grants": grants}
        if self.rng.random() < 0.3:
            body["kinds"] = self.pick(["usage"], ["usage", "fee"], ["usage", "tax"], ["tax"])
        if self.rng.random() < 0.3:
            body["clock"] = "period"
        if self.rng.random() < 0.5:
            body["scope"] = self.pick("account", "organization", "contract")
        elif self.rng.random() < 0.4:
            body["share"] = self.pick("own_first", "all")
        if self.rng.random() < 0.3:
            body["top_up"] = {"below": self.money(0, 10), "amount": self.money(1, 30)}
            if self.rng.random() < 0.5:
                body["top_up"]["cost"] = self.money(1, 30)
        if "clock" in body and self.rng.random() < 0.5:
            last = self.world.skus[-1]
            body["targets"] = self.pick(["fee", last], ["s0"], [last, "usage"], ["minimum", "fee", "usage"])
            self.world.has("terms.targets")
        if "clock" in body and self.rng.random() < 0.5:
            body["largest"] = self.pick([], ["account"], ["product"], ["sku"], ["product", "sku"], ["account", "product"])
            self.world.has("terms.largest")
        return body

    def allocate(self):
        """By weights that are not negative: amounts and what is aggregated may go down."""
        body = {"to": self.pick('sku == "s0"', 'kind == "usage"', "true"),
                "weight": self.pick("quantity", "amount", "1")}
        if body["weight"] != "1":
            body["weight"] = "max(0, %s)" % body["weight"]
        if self.rng.random() < 0.4:
            body["digits"] = Raw("2")
        if self.rng.random() < 0.25:
            body["idle"] = "none"
        return self.place(body, by=False)


# ---- worlds of several bills ----

class LongMaker(Maker):
    """Terms on clocks that are longer than a bill."""

    def __init__(self, world, rng, start):
        super().__init__(world, rng, [kind for kind in KINDS if kind != "allocate"])
        self.start = start

    def terms(self):
        """Some that last, among others."""
        out = [self.long() for _ in range(self.pick(1, 1, 2, 3))] + [self.one() for _ in range(self.pick(0, 0, 1, 2))]
        self.rng.shuffle(out)
        for i, term in enumerate(out):
            (body,) = term.values()
            body["name"] = "t%d" % i
        self.group(out)
        return out

    def long(self, terms=True):
        kind = self.pick("promise", "promise", "least", "most", "grants", "grants", "spend", *["prepaid"] * terms)
        term = getattr(self, kind)()
        (body,) = term.values()
        if kind != "grants":
            body["clock"] = self.pick("quarter", "year", "contract_year", "contract_year")
        if kind != "prepaid" and self.rng.random() < 0.2:
            body["where"] = self.condition()
        return term

    def promise(self):
        body = {"quantity": self.world.limit(self.rng)} if self.rng.random() < 0.2 else {"amount": self.money(20, 200)}
        if self.rng.random() < 0.5:
            body["overage"] = Raw(self.pick("1.5", "2", "0.5"))
        if self.rng.random() < 0.3:
            body["rollover"] = Raw(self.pick("1", "0.5"))
        if self.rng.random() < 0.2:
            body["shortfall"] = "none"
        if self.rng.random() < 0.2:
            body["prorate"] = self.pick("day", "second")
        return {"commit": self.place(body, clocks=False)}

    def prepaid(self):
        body = {"amount": self.money(20, 100), "prepaid": Raw("true")}
        if self.rng.random() < 0.5:
            body["rollover"] = Raw(self.pick("1", "0.5"))
        if self.rng.random() < 0.5:
            body["scope"] = self.pick("account", "organization", "contract")
        return {"commit": body}

    def least(self):
        body = {"min": self.money(20, 150)}
        if self.rng.random() < 0.3:
            body["attribute"] = "pro_rata"
        if self.rng.random() < 0.3:
            body["prorate"] = self.pick("day", "second")
        return {"bound": self.place(body, clocks=False)}

    def most(self):
        return {"bound": self.place({"max": self.money(20, 150)}, clocks=False)}

    def spend(self):
        body = {"tiers": self.tiers()} if self.rng.random() < 0.6 else {"percent": self.percent(), "limit": {"amount": self.money(5, 40)}}
        return {self.pick("discount", "discount", "markup"): self.place(body, clocks=False)}

    def grants(self):
        grants = []
        for i in range(self.pick(1, 1, 2)):
            grant = {"id": "g%d" % i, "amount": self.money(5, 60), "every": self.pick("year", "quarter", "month"),
                     "from": self.world.date(self.start - self.rng.randrange(0, 400) * times.DAY)}
            if self.rng.random() < 0.7:
                grant["rollover"] = self.pick({"max": self.money(5, 30)}, {"min": self.money(1, 5), "max": self.money(5, 30)})
            if self.rng.random() < 0.4:
                grant["priority"] = Raw(self.pick("1", "2"))
            grants.append(grant)
        body = {"grants": grants}
        if self.rng.random() < 0.5:
            body["scope"] = self.pick("account", "organization", "contract")
        if self.rng.random() < 0.3:
            body["overage"] = "carry"
        return {"credit": body}


def long_world(world, rng):
    """(world, periods): three or four months that are billed one by one, with terms on long clocks.  What was used in the world's
    period is spread over them."""
    catalog, long = copy.deepcopy(world.catalog), copy.copy(world)
    zone = catalog.get("billing", {}).get("zone")
    catalog["billing"] = {"every": "month", **({"zone": zone} if zone else {})}
    year, month = map(int, times.form(world.period[0] + 7 * times.DAY)[:7].split("-"))
    before, count = rng.choice([0, 0, 1]), rng.choice([3, 3, 4])
    months = [divmod(year * 12 + month - 1 - before + i, 12) for i in range(count)]
    periods = ["%04d-%02d" % (y, m + 1) for y, m in months]
    long.period_text = "%s/%s" % (periods[0], periods[-1])
    long.period = times.parse_period(periods[0], zone)[0], times.parse_period(periods[-1], zone)[1]
    long.catalog = catalog
    long.accounts = [{key: value for key, value in record.items() if key != "currency"} for record in world.accounts]  # terms say money
    long.lines = [spread_line(world.seed, line, before, count) for line in world.lines]
    long_contracts(long, rng)
    for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        owner.pop("terms", None)
        if owner is not catalog:
            owner.pop("currency", None)
        if rng.random() < (0.8 if "buyer" in owner else 0.5):
            owner["terms"] = LongMaker(long, rng, long.period[0]).terms()
    parts = component_lists(catalog)
    for steps in price_steps(catalog):
        # One that is a component of another version would stand in front of its "behind", and behind it in its own.
        if steps and "fixed" not in steps[0] and not any(steps is part for part in parts) and rng.random() < 0.15:
            made = LongMaker(long, rng, long.period[0]).long(terms=False)
            ((kind, body),) = made.items()
            body["name"] = "lasting-" + kind  # of one name are steps of one kind
            steps.append(made)
    if "wallets" not in LEFT:
        import world_wallets  # which takes from here
        world_wallets.say_more(long, world.rng("long wallets"))
    if "words" not in LEFT:
        import world_words  # which takes from here
        world_words.say_more(long, world, "long words/")
    return long, periods


def long_contracts(world, rng):
    """Contracts whose years end in one of the months, some of which end there themselves."""
    catalog, (start, end) = world.catalog, world.period
    contracts = catalog.setdefault("contracts", [])
    buyers = [contract["buyer"] for contract in contracts]
    for account in world.ids:
        if account not in buyers and (not contracts or rng.random() < 0.3):
            contracts.append({"id": "l-" + account, "buyer": account, "from": world.date(start - 400 * times.DAY)})
            buyers.append(account)
    for contract in contracts:
        contract.pop("billing", None)
        if buyers.count(contract["buyer"]) > 1 or times.parse(contract["from"]) >= start:
            continue
        if rng.random() < 0.7:
            contract["from"] = world.date(rng.randrange(start - 20 * times.DAY, end) // times.DAY * times.DAY - 365 * times.DAY)
        if "to" not in contract and rng.random() < 0.25:
            contract["to"] = world.date(rng.randrange(start + times.DAY, end) // times.HOUR * times.HOUR)


def spread_line(seed, line, before, count):
    """The line with its time in another month, the same one for all lines of an id."""
    try:
        records = read_line(line)
    except Refused:
        return line
    if len(records) != 1 or records[0].get("type") == WITHDRAWAL:
        return line
    record = json.loads(line, parse_float=Raw, parse_int=Raw)
    if not isinstance(record, dict):
        return line
    months = random.Random("%s/%s/%s" % (seed, record.get("source"), record.get("id"))).randrange(-before, count - before)

    def moved(text):
        try:
            return times.form(times.parse(text) + months * 30 * times.DAY)
        except (times.TimeFault, TypeError, AttributeError):
            return text
    if "time" in record:
        record["time"] = moved(record["time"])
    if isinstance(record.get("data"), dict):
        for key in ("start", "end"):
            if key in record["data"]:
                record["data"][key] = moved(record["data"][key])
    return write_json(record)
