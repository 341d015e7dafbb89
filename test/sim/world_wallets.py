"""What else random worlds say of grants and promises: whose a grant is, in which order grants are used, what stays, what is
reset, debts that are carried, grants of units; promises that roll over, discounts for some turns, what waits for a turn's end.

It draws from a stream of its own, and changes steps that are there."""
import times
import world_terms
from world import Raw

RATINGS = ("rate", "tier", "percent", "formula")


def add(world):
    say_more(world, world.rng("wallets"))


def say_more(world, rng):
    if rng.random() < 0.6:
        return
    words = Words(world, rng)
    for term in all_terms(world.catalog):
        words.say(term, True)
    for steps in world_terms.price_steps(world.catalog):
        for step in steps:
            words.say(step, False)
    if rng.random() < 0.4:
        for steps in world_terms.price_steps(world.catalog):
            if rng.random() < 0.4:
                words.units(steps)


def all_terms(catalog):
    for owner in (catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])):
        yield from owner.get("terms", [])


class Words:
    def __init__(self, world, rng):
        self.world, self.rng = world, rng
        self.maker = world_terms.Maker(world, rng, [])

    def some(self, part):
        return self.rng.random() < part

    def say(self, step, is_term):
        for kind, body in step.items():
            if isinstance(body, dict) and hasattr(self, kind):
                getattr(self, kind)(body, is_term)

    def units(self, steps):
        """Grants of units before the rating, without what is of money."""
        place = next((i for i, step in enumerate(steps) if any(kind in step for kind in RATINGS)), None)
        if place is None or any("use" in step for step in steps[place:]) or any(
                body.get("name") == "units" for step in steps for body in step.values() if isinstance(body, dict)):
            return
        body = self.maker.credit()
        for key in ("kinds", "clock", "targets", "largest"):
            body.pop(key, None)
        for grant in body["grants"]:
            grant.pop("where", None)
            if world_terms.of_all(self.world.catalog, steps):
                grant.pop("cost", None)
        if "top_up" in body:
            body["top_up"].setdefault("cost", self.maker.money(1, 30))
        body["name"] = "units"
        self.credit(body, False)
        steps.insert(place, {"credit": body})
        self.world.has("wallets.units")

    def credit(self, body, is_term):
        rng, world = self.rng, self.world
        if "top_up" not in body and "settings_at" not in body and self.some(0.25):
            body["overage"] = "carry"
            world.has("wallets.carry")
        if self.some(0.2):
            body["resets"] = sorted({world.date(world.moment(rng)) for _ in range(rng.choice([1, 1, 2]))})
            if self.some(0.4):
                body["keep_overage"] = Raw("true")
            world.has("wallets.resets")
        if self.some(0.3):
            body["order"] = rng.choice([["to", "width", "from"], ["-priority"], ["amount"], ["-id"], ["-from", "to"], ["-amount", "id"]])
            world.has("wallets.order")
        own = body.get("scope", "account") == "account" and not body.get("by") and self.some(0.4)
        for grant in body["grants"]:
            self.grant(grant)
            if own and self.some(0.6):
                grant["account"] = rng.choice(world.ids)
                world.has("wallets.account")

    def grant(self, grant):
        rng, world = self.rng, self.world
        if "from" not in grant and "to" not in grant and self.some(0.4):
            grant["from"] = world.date(world.period[0] - rng.randrange(0, 60 * times.DAY) // times.HOUR * times.HOUR)
        if "from" in grant and "every" not in grant and self.some(0.3):
            grant["every"] = rng.choice(["day", "week", "month", {"period": "36 hours", "anchor": world.date(world.moment(rng))}])
        if "every" in grant and self.some(0.5):
            grant["rollover"] = rng.choice([{}, {"max": self.maker.money(1, 10)}, {"min": self.maker.money(1, 3)},
                                            {"min": self.maker.money(1, 3), "max": self.maker.money(4, 20)}])
            world.has("wallets.rollover")
        if self.some(0.15):
            grant["void"] = world.date(world.moment(rng))
            world.has("wallets.void")
            if "from" in grant and times.parse(grant["void"]) <= times.parse(grant["from"]):
                del grant["void"]
        if self.some(0.3):
            grant["width"] = Raw(rng.choice(["0", "1", "2.5"]))

    def commit(self, body, is_term):
        rng = self.rng
        if self.some(0.4):
            body["rollover"] = Raw(rng.choice(["1", "0.5", "0.3333"]))
            if body.get("clock") == "always":
                del body["clock"]
            self.world.has("wallets.commit.rollover")
        if "prepaid" not in body:
            if self.some(0.2):
                body["quantity"] = self.world.limit(rng)
                body.pop("amount", None)
            if self.some(0.25) and body.get("clock") != "always":
                body["prorate"] = rng.choice(["day", "second"])
            if self.some(0.2) and "quantity" not in body:
                body["measure"] = rng.choice(["amount", "min(net, 10)", "quantity * 2"])
                self.world.has("wallets.commit.measure")

    def discount(self, body, is_term):
        rng = self.rng
        is_counted = all(record.get("since") for record in self.world.accounts)
        if is_counted and "limit" not in body and self.some(0.3):
            body["limit"] = {"turns": Raw(rng.choice(["1", "2", "7"]))}
            if body.get("clock") in ("always", None) and self.some(0.7):
                body["clock"] = rng.choice(["day", "week", "month"])
            if body.get("clock") == "always":
                del body["clock"]
            self.world.has("wallets.turns")
        is_whole = body.get("mode") == "volume" or ("amount" in body and body.get("attribute") != "in_order")
        if is_whole and self.some(0.3):
            body["settle"] = "at_end"
            self.world.has("wallets.settle")

    markup = discount

    def fee(self, body, is_term):
        if self.some(0.25):
            body["settle"] = "at_end"
            self.world.has("wallets.settle")

    def bound(self, body, is_term):
        if "min" in body and self.some(0.15):
            body["settle"] = "now"
