"""Laws of covers, on worlds that have commitments."""
import collections
import copy

from exact import num, plain


def without_commitments(catalog):
    catalog = copy.deepcopy(catalog)
    for contract in catalog.get("contracts", []):
        contract.pop("commitments", None)
    return catalog


def covers(catalog):
    return {name: body["cover"] for name, body in catalog.get("steps", {}).items() if "cover" in body}


def quantities(output, kinds):
    """Of the lines of prices, by account, SKU, price and version."""
    out = collections.defaultdict(lambda: num(0))
    for line in output.lines():
        if line["kind"] in kinds and not line["level"].endswith(" terms"):
            out[(line["bill"], line["account"], line["sku"], line["price"], line["version"])] += num(line["quantity"] or "0")
    return {key: value for key, value in out.items() if value}


def without_price(output):
    """{(account, meter): events} of usage that no rate is known of."""
    out = collections.Counter()
    for row in output.rows("exclusions.csv"):
        if row["reason"] == "UNPRICED":
            out[row["account"], row["meter"]] += int(row["events"])
    return out


def lost_without_cover(catalog, bare, covered):
    """{(account, SKU)} whose rows are on lines as they are covered, which asks for no rate; SKU None: the data say which."""
    out = set()
    for account, meter in without_price(bare) - without_price(covered):
        sku = catalog["meters"][meter]["sku"]
        out.add((account, sku if sku.isidentifier() else None))
    return out


def amounts(output):
    out = collections.defaultdict(lambda: num(0))
    for line in output.lines():
        if line["kind"] != "rounding" or line["level"]:
            out[tuple(line[name] for name in ("bill", "account", "sku", "price", "step", "kind", "tier"))] += num(line["exact"])
    return {key: amount for key, amount in out.items() if amount}


def cover(bench):
    """Nobody's commitments change nothing; what is covered and what is left are what was used; used and unused are what was bought."""
    world = bench.world
    if not world.commitments or any(row.get("cover") for row in world.overrides):
        return False
    bare = without_commitments(world.catalog)
    other = copy.deepcopy(bare)
    for name, body in covers(other).items():  # something else that cuts rows as the cover does
        other["steps"][name] = {"allowance": {"quantity": 0, "clock": body.get("clock", "hour")}}
    first, second = bench.bill("nobody", bare), bench.bill("allowance", other)
    bench.equal("amount", amounts(first), amounts(second))
    if not any(text in str(world.catalog) for text in ("'none'", "'settle'", "'measure'", "'units'")):  # whose quantities are on other lines
        lost = lost_without_cover(world.catalog, first, bench.output)
        both = [{key: value for key, value in of.items() if not {(key[1], key[2]), (key[1], None)} & lost}
                for of in (quantities(first, ("usage",)), quantities(bench.output, ("usage", "covered")))]
        bench.equal("quantity", *both)
    paid(bench)
    return True


def paid(bench):
    """Where nothing was paid upfront, what a commitment costs effectively is what recurs."""
    effective, recurring = (collections.defaultdict(lambda: num(0)) for _ in range(2))
    for line in bench.output.lines():
        if line["kind"] in ("covered", "unused"):
            effective[line["grant"]] += num(line["effective"] or "0")
        elif line["kind"] == "commitment" and line["step"] == "recurring":
            recurring[line["grant"]] += num(line["exact"])
    spread = {record["id"] for record in bench.world.commitments
              if "upfront" in record or "upfront" in bench.world.catalog["commitments"][record["offering"]]}
    spread |= {line["grant"] for line in bench.output.lines() if line["price_amount"]}  # amounts are rounded then
    for name in sorted(set(effective) | set(recurring)):
        if name not in spread:
            bench.expect(effective[name] == recurring[name], "%s: effectively %s, paid %s", name, plain(effective[name]), plain(recurring[name]))


LAWS = [("cover", cover)]
