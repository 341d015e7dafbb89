"""What each profile sets, written from the systems' own habits, and a catalog in which every step says it."""
import copy

from setting import SHORT

PARTS = {"digits": 9, "mode": "half_up"}
UP = {"digits": 5, "mode": "up"}
PROFILES = {
    "none": {}, "flexprice": {},
    "lago": {"tier": {"at_zero": "charge"}, "tax": {"at": "line"}, "fixed": UP, "allowance": UP, "bound": UP,
             "commit": UP, **dict.fromkeys(("discount", "markup", "fee"), {"digits": 5, "part_mode": "up"})},
    "openmeter": {"tier": {"at_zero": "charge", "settle": "at_end"}, "round": {"at": "bucket"}, "credit": {"overage": "carry"}},
    "killbill": {"tier": {"past_last": "last"}, "fixed": {"stub": "back", **PARTS}, "allowance": PARTS, "bound": PARTS,
                 "commit": PARTS, **dict.fromkeys(("discount", "markup", "fee"), {"digits": 9, "part_mode": "half_up"})},
    "stripe": {"tier": {"at_zero": "charge"}, "fixed": {"prorate": "second"}},
}


def step_lists(catalog):
    owners = [catalog, *catalog.get("plans", {}).values(), *catalog.get("contracts", [])]
    for owner in owners:
        yield from (price["steps"] for price in owner.get("prices", []) if isinstance(price, dict) and "steps" in price)
        for price in owner.get("prices", []):
            if isinstance(price, dict):
                yield from price.get("components", {}).values()
        yield owner.get("terms", [])


def spelled_out(catalog):
    """The catalog without a profile, its steps with all that the profile sets."""
    options = PROFILES[catalog.get("profile", "none")]
    if not options:
        return catalog
    catalog = copy.deepcopy(catalog)
    for steps in step_lists(catalog):
        steps[:] = [spell_step(step, options) for step in steps]
    if "steps" in catalog:
        catalog["steps"] = {name: spell_step(step, options) for name, step in catalog["steps"].items()}
    return catalog


def spell_step(step, options):
    ((kind, body),) = step.items()
    if kind == "use" or kind not in options:
        return step
    body = dict(body) if isinstance(body, dict) else {SHORT[kind]: body}
    for key, value in options[kind].items():
        if (key != "settle" or body.get("mode") == "volume") and not (key == "overage" and "top_up" in body):
            body.setdefault(key, value)
    return {kind: body}
