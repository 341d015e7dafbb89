"""Terms of random worlds: of plans, of contracts, of the catalog, and the same steps in prices.

They draw from streams of their own, so that a world without them stays as it was."""
from world import OPEN, Raw

# What the engine has.  `--open NAME` lets in what it has not: terms.discount (in lists of terms), steps.discount (in prices), ...
ON = {"terms." + kind for kind in ("round", "discount", "markup", "bound", "fee", "tax", "commit", "credit")} | {"steps.tax"}
KINDS = ("discount", "markup", "bound", "fee", "tax", "round", "commit", "credit", "allocate")


def allowed(name):
    return name in ON or name in OPEN


def add(world):
    """Terms where the engine has some; steps of the same kinds behind ratings."""
    rng = world.rng("terms")
    kinds = [kind for kind in KINDS if allowed("terms." + kind)]
    if kinds and rng.random() < 0.6:
        if "fee_time" not in OPEN:
            in_advance(world.catalog)
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
        for steps in price_steps(world.catalog):
            if rng.random() < 0.4:
                made = Maker(world, rng, kinds).one()
                (body,) = made.values()
                body["name"] = "extra"
                body.pop("prepaid", None)  # what is paid before it is used is a term's
                for grant in body.get("grants", []):
                    grant.pop("cost", None)
                steps.append(made)
                world.has("steps." + next(iter(made)))


def in_advance(catalog):
    for steps in price_steps(catalog):
        for step in steps:
            if "fixed" in step and step["fixed"].get("when") != "once":
                step["fixed"]["when"] = "in_advance"


def price_steps(catalog):
    """The lists of steps that have a rating, each once: versions may share one."""
    seen = []
    for owner in [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]:
        for price in owner.get("prices", []):
            if isinstance(price, dict) and not any(price["steps"] is other for other in seen):
                seen.append(price["steps"])
    return seen


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
            if body["scope"] == "organization" and "grant_cost" not in OPEN:
                for grant in grants:
                    grant.pop("cost", None)
        elif self.rng.random() < 0.4:
            body["share"] = self.pick("own_first", "all")
        if self.rng.random() < 0.3:
            body["top_up"] = {"below": self.money(0, 10), "amount": self.money(1, 30)}
            if self.rng.random() < 0.5:
                body["top_up"]["cost"] = self.money(1, 30)
        return body

    def allocate(self):
        body = {"to": self.pick('sku == "s0"', 'kind == "usage"', "true"),
                "weight": self.pick("quantity", "amount", "1")}
        if self.rng.random() < 0.4:
            body["digits"] = Raw("2")
        if self.rng.random() < 0.25:
            body["idle"] = "none"
        return self.place(body, by=False)
