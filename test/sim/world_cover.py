"""Commitments of random worlds, and the steps in prices that cover rows by them.

They draw from a stream of their own, so that a world without them stays as it was."""
import times
import world_terms
from world import Raw

RATINGS = ("rate", "tier", "percent", "formula")


def add(world):
    if world_terms.allowed("cover"):
        rng = world.rng("cover")
        if rng.random() < 0.4:
            Maker(world, rng).make()


class Maker:
    def __init__(self, world, rng):
        self.world, self.rng, self.catalog = world, rng, world.catalog
        self.clock = rng.choice(["hour", "hour", "hour", "day", None])
        self.zone = world.catalog.get("billing", {}).get("zone")

    def make(self):
        rng, world = self.rng, self.world
        for product in self.catalog["products"].values():
            for body in product["skus"].values():
                if "attributes" in body:
                    body["attributes"]["weight"] = Raw(rng.choice(["1", "2", "4", "8", "0.5"]))
        names = rng.choice([["leases"], ["plans"], ["leases", "plans"], ["plans", "leases"]])
        used, chosen = set(), {}
        for price in self.prices():
            if chosen.setdefault(price.get("name", str(price["sku"])), rng.random() < 0.8):
                price["steps"] = list(price["steps"])  # versions may share them
                used |= set(self.into(price["steps"], names))
        names = [name for name in names if name in used]
        if not names:
            return
        self.offerings()
        steps = self.catalog.setdefault("steps", {})
        for name in names:
            steps[name] = {"cover": self.cover(name)}
            world.has("cover." + name)
        self.share()
        self.records([name for step in names for name in self.taken[step]])

    def prices(self):
        """Those without components, those of a name together."""
        out = list(self.catalog["prices"])
        for owner in [*self.catalog.get("plans", {}).values(), *self.catalog.get("contracts", [])]:
            out += [price for price in owner.get("prices", []) if isinstance(price, dict)]
        return [price for price in out if "components" not in price and any(self.is_rating(step) for step in price["steps"])]

    def is_rating(self, step):
        (kind, body), = step.items()
        return kind in RATINGS or (kind == "use" and "tier" in self.catalog["steps"][body])

    def is_for_nothing(self, rating):
        """Whether a row may cost nothing in public."""
        if "use" in rating:
            rating = self.catalog["steps"][rating["use"]]
        return any(text in str(rating) for text in ("'rate': '0'", "'rate': {'from'", "'series'", "'table'", "'flat'", "'percent': '0'", "'flat'"))

    def into(self, steps, names):
        """Before the rating; reservations sometimes before all, where no unit has been converted."""
        place = next(i for i, step in enumerate(steps) if self.is_rating(step))
        rating = steps[place]
        if self.is_for_nothing(rating) and not world_terms.allowed("cover.free"):
            names = [name for name in names if name == "leases"]
        has_list = "formula" not in rating and not (isinstance(rating.get("percent"), dict) and "fixed" in rating["percent"])
        names = [name for name in names if has_list or name == "leases"]
        steps[place:place] = [{"use": name} for name in names]
        return names

    # ---- offerings ----

    def offerings(self):
        rng, world = self.rng, self.world
        zonal = {"capacity": "commitment.count", "eligible": "sku == commitment.type"}
        if world.known("region"):
            zonal["eligible"] += " && region == commitment.region"
        flexible = {"capacity": "commitment.count * commitment.factor", "weight": "weight",
                    "eligible": "family == commitment.family"}
        narrow = {"unit": "amount", "capacity": "commitment.amount", "rate": 'lookup("sp", sku)', "eligible": "family == commitment.family"}
        wide = {"unit": "amount", "capacity": "commitment.amount", "percent": Raw(rng.choice(["10", "28", "46.5"]))}
        if rng.random() < 0.5:
            wide["eligible"] = 'product == "p0"'
        for offering in (zonal, flexible):
            kind = rng.choice(["none", "recurring", "recurring", "both"])
            if kind != "none":
                offering["recurring"] = "commitment.count * commitment.hourly"
            if kind == "both":
                offering["upfront"] = "commitment.count * 100"
        for offering in (narrow, wide):
            if rng.random() < 0.3:
                offering["best"] = "buyer"
                world.has("cover.best")
            offering["recurring"] = rng.choice(["commitment.amount", "commitment.amount", "commitment.amount / 2"])
        self.catalog.setdefault("tables", {})["sp"] = {"keys": ["sku"], "rows": [
            [sku, Raw(rng.choice(["0.05", "0.5", "0.016", "1.7", "3"]))] for sku in world.skus if rng.random() < 0.8] or [["none", Raw("1")]]}
        self.made = {"zonal": zonal, "flexible": flexible, "narrow": narrow, "wide": wide}
        self.taken = {"leases": rng.choice([["zonal", "flexible"], ["flexible"], ["zonal"]]),
                      "plans": rng.choice([["narrow", "wide"], ["wide"], ["narrow"]])}
        self.catalog["commitments"] = {name: self.made[name] for names in self.taken.values() for name in names}

    def cover(self, name):
        rng, world = self.rng, self.world
        body = {"passes": []}
        if self.clock:
            body["clock"] = self.clock
        whom = rng.choice([["own", "shared"]] * 3 + [["own"], ["shared"]] + [["own", "group"], ["own", "group", "shared"]] * world_terms.allowed("cover.sharing"))
        for offering in self.taken[name]:
            for one in whom:
                item = {"offering": offering, "for": one}
                if offering == "flexible" and rng.random() < 0.7:
                    item["order"] = rng.choice([["attributes.weight", "resource"], ["weight"], ["-weight", "sku"], ["-quantity"], ["-list", "sku"],
                                                ["commitment.count > 1 ? quantity : -quantity"]])
                if offering in ("narrow", "wide") and rng.random() < 0.2:
                    item["order"] = rng.choice([["rate"], ["-list", "sku"], ["savings"]])
                if rng.random() < 0.15:
                    item["where"] = rng.choice(["quantity > 1", 'sku != "s0"', 'product == "p0"'])
                    world.has("cover.where")
                if rng.random() < 0.15:
                    item["whole"] = True
                    world.has("cover.whole")
                if rng.random() < 0.15:
                    item["rank"] = rng.choice([["id"], ["-from", "id"], ["-id"]])
                    world.has("cover.rank")
                body["passes"].append(item)
                world.has("cover.for_" + one)
        if rng.random() < 0.3:
            body["lines"] = "negation"
            world.has("cover.negation")
        world.has("cover.clock." + (self.clock or "hour"))
        return body

    # ---- records ----

    def share(self):
        rng = self.rng
        if not world_terms.allowed("cover.sharing"):
            return
        for record in self.world.accounts:
            if rng.random() > 0.4:
                continue
            item = rng.choice([{"mode": "none"}, {"group": "g"}, {"group": "g"}, {"group": "h"}, {"mode": "group", "group": "g"}])
            record["sharing"] = [item]
            if rng.random() < 0.4:
                at = self.world.date(self.world.moment(rng))
                other = rng.choice([None, {"mode": "none"}, {"group": "g"}])
                item["to"] = at
                record["sharing"] += [dict(other, **{"from": at})] if other else []
                self.world.has("cover.sharing.dated")
            self.world.has("cover.sharing")

    def day(self, at):
        """A day's start in the zone of the turns: where one begins."""
        return times.instant(times.civil(at, self.zone)[0], 0, self.zone)

    def records(self, names):
        rng, world = self.rng, self.world
        start, end = world.period
        accounts = world.ids
        for i in range(rng.choice([1, 2, 2, 3, 4])):
            name = rng.choice(names)
            record = {"id": "k%d" % rng.choice([i, 9 - i]), "offering": name, "account": rng.choice(accounts)}
            if any(other["id"] == record["id"] for other in world.commitments):
                continue
            since = self.day(rng.choice([start - 100 * times.DAY, start - 100 * times.DAY, rng.randrange(start, end)]))
            record["from"] = world.date(since)
            until = since + 365 * times.DAY if rng.random() < 0.7 else max(since + times.DAY * 2, rng.randrange(start, end))
            record["to"] = world.date(self.day(until))
            world.edges += [since]
            if name in ("narrow", "wide"):
                record["amount"] = Raw(rng.choice(["0.5", "2", "7.25", "30", "0.001"]))
            else:
                record["count"] = Raw(rng.choice(["1", "2", "5"]))
                record["hourly"] = Raw(rng.choice(["0.0309", "0.1", "1"]))
                record["factor"] = Raw(rng.choice(["1", "2", "8"]))
                record["type"] = rng.choice(world.skus)
            record["family"] = rng.choice(["m", "n"])
            if world.known("region"):
                record["region"] = rng.choice(["eu", "us", "ap", ""])
            world.commitments.append(record)
            self.contract(record["account"]).setdefault("commitments", []).append(record)
        world.has("cover")

    def contract(self, account):
        """One of the account, or of another of this world; or a new one that has nothing else."""
        contracts = self.catalog.setdefault("contracts", [])
        own = [contract for contract in contracts if contract["buyer"] == account]
        if contracts and self.rng.random() < 0.3:
            own = contracts
        if not own:
            contracts.append({"id": "k-" + account, "buyer": account, "from": self.world.date(self.day(self.world.period[0] - 200 * times.DAY))})
            own = contracts[-1:]
        return self.rng.choice(own)
