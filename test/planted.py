#!/usr/bin/env python3
"""Catalogs with one planted mistake: farthing check finds each, and names its place.

    planted.py --farthing PATH [--first S] [--seeds N]

Each seed is the catalog of a random world (test/sim), which must load, and the same with a mistake of one kind in it, which
must not: the first error has the code of the mistake, and a line on which it stands.  Kinds come in turn."""
import argparse
import copy
import json
import os
import random
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "sim"))
sys.dont_write_bytecode = True

from world import Raw, World, scalar  # noqa: E402


class Mark:
    """What is wrong: the lines that it takes are where the mistake may be named."""

    def __init__(self, value):
        self.value = value


class Writer:
    """YAML in block style, which knows on which lines the marks stand."""

    def __init__(self):
        self.lines, self.marked = [], set()

    def write(self, value, pad="", lead=None):
        """lead is what stands before the value on its first line: its key, or a dash."""
        if isinstance(value, Mark):
            first = len(self.lines) + 1
            self.write(value.value, pad, lead)
            self.marked.update(range(first, len(self.lines) + 1))
        elif isinstance(value, (dict, list)) and value:
            if lead is not None:
                self.lines.append(lead)
            for item in value.items() if isinstance(value, dict) else enumerate(value):
                name, inner = item
                key = "%s%s:" % (pad, scalar(name)) if isinstance(value, dict) else pad + "-"
                self.write(inner, pad + "  ", key)
        else:
            self.lines.append("%s %s" % (lead, scalar(value)))


class Planter:
    """Mistakes; each method makes one in self.catalog and returns the codes that name it, or None where it finds no place."""

    def __init__(self, catalog, rng):
        self.catalog, self.rng = catalog, rng

    def prices(self, fits=lambda price: True):
        out = [price for owner in [self.catalog, *self.catalog.get("plans", {}).values(), *self.catalog.get("contracts", [])]
               for price in owner.get("prices", []) if isinstance(price, dict) and "steps" in price and "components" not in price and fits(price)]
        self.rng.shuffle(out)
        return out

    def ladders(self):
        """Lists of two plain tiers or more, in a price."""
        out = [step["tier"]["tiers"] for price in self.prices() for step in price["steps"]
               if isinstance(step.get("tier"), dict) and len(step["tier"].get("tiers", [])) > 1]
        return [tiers for tiers in out if set(tiers[0]) & {"up_to", "below"} and all(self.is_number(tier) for tier in tiers[:-1])]

    def is_number(self, tier):
        """The limit is written out: of one that is computed the tiers may be empty, and nobody knows where a gap is."""
        return re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(tier[self.end(tier)])) is not None

    @staticmethod
    def end(tier):
        return "up_to" if "up_to" in tier else "below"

    def gap(self):
        for tiers in self.ladders():
            i = self.rng.randrange(1, len(tiers))
            edge = tiers[i - 1][self.end(tiers[i - 1])]
            tiers[i] = Mark(dict(tiers[i], **{"from": Raw("%s1" % (edge if "." in edge else edge + "."))}))
            return ["TIER_GAP"]
        return None

    def overlap(self):
        for tiers in self.ladders():
            if self.rng.random() < 0.5:
                i = self.rng.randrange(1, len(tiers))
                tiers[i] = Mark(dict(tiers[i], **{"from": Raw("0.0000001")}))
            else:
                tiers.insert(0, {"up_to": Raw("100000"), "rate": Raw("1")})
                tiers[1] = Mark(tiers[1])
            return ["TIER_OVERLAP", "TIER_ORDER"]
        return None

    def unit(self):
        skus = {name: sku for product in self.catalog["products"].values() for name, sku in product["skus"].items()}
        parts = [price["sku"] for owner in [self.catalog, *self.catalog.get("plans", {}).values(), *self.catalog.get("contracts", [])]
                 for price in owner.get("prices", []) if isinstance(price, dict) and "components" in price]
        for name, meter in self.catalog["meters"].items():  # components have a unit each
            if meter.get("sku") in skus and not any(meter["sku"] in part or part == "*" for part in parts) and self.rng.random() < 0.6:
                skus[meter["sku"]]["unit"] = "hour"
                self.catalog["meters"][name] = Mark(dict(meter, unit="GB"))
                return ["UNIT_MISMATCH"]
        for price in self.prices(lambda price: str(price["sku"]) in skus and "where" not in price):
            skus[price["sku"]]["unit"] = "hour"
            price["steps"].insert(0, Mark({"convert": {"divide": Raw("2"), "to": "GB", "name": "planted"}}))
            return ["UNIT_MISMATCH"]
        return None

    def cycle(self):
        found = [price for price in self.prices(lambda price: not any("fixed" in step for step in price["steps"]))]
        if len(found) < 2 or found[0]["steps"] is found[1]["steps"]:
            return None
        steps = self.catalog.setdefault("steps", {})
        names = ["planted%d" % i for i in range(self.rng.choice([2, 2, 3]))]
        for name in names:
            steps[name] = Mark({"allowance": {"quantity": Raw("1")}})
        for turned, price in enumerate(found[:2]):
            uses = [{"use": name} for name in (names[::-1] if turned else names)]
            price["steps"] = uses + price["steps"]
        return ["STEP_CYCLE"]

    def name(self):
        """Of a step, a shared step, a clock, a scope, in an expression, of a table, a SKU, a key, a plan."""
        kind = self.rng.choice(["step", "use", "clock", "scope", "expression", "table", "sku", "key", "plan"])
        prices = self.prices(lambda price: not any("fixed" in step for step in price["steps"]))
        if not prices:
            return None
        price = prices[0]
        steps = price["steps"] = copy.deepcopy(price["steps"])
        if kind == "plan" and self.catalog.get("contracts"):
            self.rng.choice(self.catalog["contracts"])["plan"] = Mark("planted")
            return ["UNKNOWN_NAME", "UNKNOWN_PLAN"]
        if kind == "sku":
            self.catalog.setdefault("prices", []).append({"sku": Mark("planted"), "steps": [{"rate": Raw("1")}]})
            return ["UNKNOWN_SKU", "UNKNOWN_NAME"]
        planted = {"step": {"rte": Raw("1")}, "use": {"use": "planted"},
                   "clock": {"allowance": {"name": "planted", "quantity": Raw("1"), "clock": Mark("fortnite")}},
                   "scope": {"allowance": {"name": "planted", "quantity": Raw("1"), "scope": Mark("planet")}},
                   "expression": {"allowance": {"name": "planted", "quantity": Raw("1"), "where": Mark("planted == 1")}},
                   "key": {"allowance": {"name": "planted", "quantity": Raw("1"), "qantity": Mark(Raw("1"))}},
                   "table": {"rate": {"name": "planted", "table": Mark("planted"), "keys": []}}}.get(kind)
        if planted is None:
            planted = {"use": "planted"}
        if kind == "table":
            price["steps"] = [planted]
        else:
            steps.insert(0, Mark(planted) if kind in ("step", "use", "plan") else planted)
        return ["UNKNOWN_STEP", "UNKNOWN_NAME", "UNKNOWN_CLOCK", "UNKNOWN_SCOPE", "EXPRESSION_NAME", "UNKNOWN_TABLE", "UNKNOWN_KEY",
                "BAD_VALUE"]

    def type(self):
        prices = self.prices(lambda price: not any("fixed" in step for step in price["steps"]))
        if not prices:
            return None
        price, bad = prices[0], self.rng.choice([0, 1, 2, 3, 4, 5])
        price["steps"] = copy.deepcopy(price["steps"])
        planted = [
            {"allowance": {"name": "planted", "quantity": Mark([Raw("1")])}},
            {"allowance": {"name": "planted", "quantity": Mark('"five"')}},
            {"allowance": {"name": "planted", "quantity": Raw("1"), "where": Mark("quantity + 1")}},
            {"allowance": {"name": "planted", "quantity": Raw("1"), "where": Mark('sku == 1')}},
            {"allowance": {"name": "planted", "quantity": Raw("1"), "prorate": Mark({"unit": "day"})}},
            {"convert": {"name": "planted", "multiply": Mark("true")}}][bad]
        price["steps"].insert(0, planted)
        return ["WRONG_TYPE", "EXPRESSION", "BAD_VALUE", "NUM_SYNTAX"]

    def two(self):
        """Two prices for the same usage."""
        found = self.prices(lambda price: isinstance(price["sku"], str) and "public" not in price and not any(
            "fixed" in step for step in price["steps"]))
        for price in found:
            for owner in [self.catalog, *self.catalog.get("plans", {}).values(), *self.catalog.get("contracts", [])]:
                at = [i for i, other in enumerate(owner.get("prices", [])) if other is price]
                if at:
                    other = copy.deepcopy(price)
                    if self.rng.random() < 0.5:
                        other["name"] = "planted"
                    owner["prices"][at[0]] = Mark(price)
                    owner["prices"].insert(self.rng.choice([at[0] + 1, len(owner["prices"])]), Mark(other))
                    return ["PRICE_OVERLAP", "PRICE_AMBIGUOUS"]
        return None

    def place(self):
        """A step that works on quantities behind the one that makes amounts; one on amounts before it; two ratings."""
        rated = ("rate", "tier", "percent", "formula")
        for price in self.prices(lambda price: any(set(step) & set(rated) for step in price["steps"])):
            steps = price["steps"] = copy.deepcopy(price["steps"])
            at = next(i for i, step in enumerate(steps) if set(step) & set(rated))
            kind = self.rng.randrange(4)
            if kind == 0:
                steps.insert(self.rng.randrange(at + 1, len(steps) + 1), Mark({"allowance": {"quantity": Raw("1"), "name": "planted"}}))
            elif kind == 1:
                steps.insert(self.rng.randrange(at + 1, len(steps) + 1), Mark({"convert": {"multiply": Raw("2"), "name": "planted"}}))
            elif kind == 2:
                steps.insert(self.rng.randrange(0, at + 1), Mark({"discount": {"percent": Raw("2"), "name": "planted"}}))
            else:
                steps.insert(at + 1, Mark({"rate": {"rate": Raw("2"), "name": "planted"}}))
            return ["STEP_ORDER" if kind < 3 else "RATING_TWICE"]
        return None


KINDS = ("gap", "overlap", "unit", "cycle", "name", "type", "two", "place")


def check(farthing, folder, catalog):
    """(exit code, the writer of the file, its path, errors)."""
    writer = Writer()
    writer.write(catalog)
    path = os.path.join(folder, "catalog.yaml")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(writer.lines) + "\n")
    done = subprocess.run([farthing, "check", path, "--json"], capture_output=True, check=False, timeout=60)
    told = json.loads(done.stdout) if done.stdout else {"complaints": []}
    errors = [c for c in told["complaints"] if c["severity"] == "error"]
    return done.returncode, writer, path, errors


def leave_strangers(catalog):
    """Commitments of accounts that the records alone would have are left out: there are no records here."""
    contracts = catalog.get("contracts", [])
    buyers = {contract["buyer"] for contract in contracts}
    for contract in contracts:
        if "commitments" in contract:
            contract["commitments"] = [one for one in contract["commitments"] if one["account"] in buyers]
    return catalog


def plant(seed):
    """(kind, catalog, codes): the kinds come in turn; a world that has no place for one gets the next."""
    catalog, rng = leave_strangers(World(seed).catalog), random.Random("planted/%d" % seed)
    for i in range(len(KINDS)):
        kind = KINDS[(seed + i) % len(KINDS)]
        planter = Planter(copy.deepcopy(catalog), rng)
        codes = getattr(planter, kind)()
        if codes:
            return kind, catalog, planter.catalog, codes
    return plant(seed + 10 ** 6)  # a world of other prices alone


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--farthing", default="build/release/farthing")
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100)
    arguments = parser.parse_args()
    found, failed = dict.fromkeys(KINDS, 0), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            kind, good, bad, codes = plant(seed)
            status, _, _, errors = check(arguments.farthing, folder, good)
            why = "the catalog of the world does not load: %s" % errors if status != 0 else None
            if why is None:
                status, writer, path, errors = check(arguments.farthing, folder, bad)
                here = [e for e in errors if e["line"] in writer.marked and e["file"] == path and e["code"] in codes]
                if status != 1 or not errors:
                    why = "%s: check finds nothing, at %s" % (kind, sorted(writer.marked)[:4])
                elif not here:
                    why = "%s: at %s, check says %s" % (kind, sorted(writer.marked)[:4], [
                        (e["line"], e["code"], e["message"]) for e in errors[:3]])
            if why:
                failed += 1
                print("planted.py --first %d --seeds 1   # %s" % (seed, why), flush=True)
            else:
                found[kind] += 1
    print("planted %d mistakes, %d found at their place: %s" % (arguments.seeds, sum(found.values()), ", ".join(
        "%s %d" % item for item in found.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
