"""What `farthing explain` tells of lines of every folder that a seed has made, closed, corrected and of views.

Each line of a bill must be explained: strict JSON, its own columns, rows that are in usage.csv with their quantities, events and
fingerprints, and amounts that add up to the line to the last digit: of the rows, and of the step that made it; and the events that the
run has read must be those of the rows."""
import csv
import glob
import json
import os
import random
import subprocess

from exact import num, plain, quantize

TEXTS = ("line", "bill", "account", "product", "sku", "dimensions", "resource", "kind", "unit", "currency", "grant")
NUMBERS = ("quantity", "exact", "amount", "rate", "effective")
# The steps that make lines of a kind: steps of another kind may have the same name.
STEPS = {"cap": ["bound"], "minimum": ["bound"], "discount": ["discount"], "markup": ["markup"], "tax": ["tax"], "negation": ["tax", "cover"],
         "allocated": ["allocate"], "credit": ["credit", "commit"], "overage": ["commit"], "shortfall": ["commit"], "rounding": ["round"]}
OWNERS = {"contract terms": "@contract/", "plan terms": "@plan/", "catalog terms": "@terms/"}


def strict(text):
    """JSON in which no key stands twice, and every number is one."""
    def pairs(items):
        out = dict(items)
        if len(out) != len(items):
            raise ValueError("a key stands twice")
        return out

    def no_number(word):
        raise ValueError(word)
    return json.loads(text, object_pairs_hook=pairs, parse_constant=no_number)


def read_rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_objects(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def instant(text):
    return text if "T" in text else text + "T00:00:00Z"


def is_of_total(line):
    return line["kind"] == "rounding" and not line["level"]


def explain_all(runner, expect, seed, most):
    """Explains so many lines of each folder, and says how many."""
    told = 0
    for run in sorted(glob.glob(os.path.join(runner.folder, "**", "run.json"), recursive=True)):
        folder = os.path.dirname(run)
        bills = {bill["bill"]: bill for bill in read_objects(os.path.join(folder, "bills.ndjson"))}
        usage = read_rows(os.path.join(folder, "usage.csv"))
        with open(run, encoding="utf-8") as file:
            read = [item["path"] for item in json.load(file).get("read", [])]
        events = [] if "-" in read else [word for path in read for word in ("--events", path)]
        lines = read_rows(os.path.join(folder, "lines.csv"))
        for line in random.Random("%s/explain" % seed).sample(lines, min(most, len(lines))):
            done = subprocess.run([runner.farthing, "explain", folder, line["line"], "--json", *events], capture_output=True, check=False,
                                  timeout=120)
            try:
                expect(done.returncode == 0, "exit code %d: %s", done.returncode, done.stderr.decode(errors="replace")[:500])
                check(strict(done.stdout.decode()), line, bills[line["bill"]], usage, bool(events), expect)
            except (ValueError, AssertionError) as why:
                expect(False, "explain %s %s: %s", folder, line["line"], why)
            except Exception as why:
                if type(why).__name__ != "Mismatch":
                    raise
                expect(False, "explain %s %s (%s of price %s, step %s): %s", folder, line["line"], line["kind"], line["price"], line["step"], why)
            told += 1
    return told


def check(told, line, bill, usage, has_events, expect):
    for name in TEXTS:
        expect(told.get(name, "") == line[name], "%s is %s, not %s", name, told.get(name), line[name])
    for name in NUMBERS:
        expect((name in told) == (line[name] != ""), "%s is there, or not", name)
        expect(name not in told or num(told[name]) == num(line[name]), "%s is %s, not %s", name, told.get(name), line[name])
    expect(str(told.get("tier", "")) == line["tier"], "tier %s", told.get("tier"))
    expect(told.get("adds_up", not has_events), "the events do not add up")
    now = {name: num(told[name]) for name in ("quantity", "exact", "amount")}
    is_correction = bill["kind"] == "correction"
    expect(is_correction == ("correction" in told), "a correction, or none")
    for name in now if is_correction else ():
        change = told["correction"]
        now[name] = num(change["now"][name])
        expect(now[name] - num(change["before"][name]) == num(line[name]), "now and before of %s are no difference", name)
    if "price" not in told:
        expect(is_of_total(line) or not any(now.values()), "no price")
        return
    rounding = told["rounding"]
    expect(num(rounding["exact"]) == now["exact"] and num(rounding["amount"]) == now["amount"], "it rounds %s", rounding)
    if rounding.get("at") == "line":
        expect(now["amount"] == quantize(now["exact"], rounding["digits"], rounding["mode"]), "it is no rounding: %s", rounding)
    check_rows(told, line, bill, usage, now, expect)
    is_of_source = bill.get("source") and not line["level"].endswith(" terms")  # its kind is that of the source's charge
    check_steps(told, line, "usage" if is_of_source else line["kind"], now, expect)


def check_rows(told, line, bill, usage, now, expect):
    """The rows are those of usage.csv, and the line is what it takes of them."""
    rows, is_correction = told["rows"], bill["kind"] == "correction"
    beside = told.get("beside_rows", {"amount": "0", "taken": "0"})
    if not rows:
        expect(is_correction or line["events"] in ("", "0"), "events, and no rows")
        return
    for name, total in (("amount", now["exact"]), ("taken", now["quantity"])):
        found = sum((num(row[name]) for row in rows), num(beside[name]))
        expect(found == total, "%s of rows comes to %s, the line to %s", name, plain(found), plain(total))
    prints = sum(int(row["fingerprint"], 16) for row in rows) % 2 ** 64
    own = int(line["fingerprint"] or "0", 16)
    expect(is_correction or own in (0, prints), "fingerprint of rows %016x, of the line %016x", prints, own)
    counted = int(line["events"] or "0")
    expect(is_correction or 0 <= counted <= sum(row["events"] for row in rows), "the line has %s events", counted)
    for row in rows if not bill.get("source") else ():
        expect(any(one["payer"] == bill["payer"] and (one.get("contract") or "") == bill.get("contract", "") and
                   one["account"] == row["account"] and one["meter"] == row["meter"] and one["resource"] == row["resource"] and
                   one["dimensions"] == row["dimensions"] and one["fingerprint"] == row["fingerprint"] and
                   (instant(one["from"]), instant(one["to"])) == (instant(row["from"]), instant(row["to"])) and
                   num(one["quantity"]) == num(row["quantity"]) and int(one["events"]) == row["events"] for one in usage),
               "no such row in usage.csv: %s", row)


def check_steps(told, line, kind, now, expect):
    """The step that made the line comes to it."""
    exact = num(told["conversion"]["amount"]) if "conversion" in told else now["exact"]
    if kind == "credit" and now["quantity"] != 0:
        exact = -now["quantity"]  # a grant of units: what its step takes is not money
    owner = OWNERS.get(line["level"])
    own = [step for step in told["steps"] if step["step"] == line["step"] and step["kind"] in STEPS.get(kind, [step["kind"]]) and
           (not owner or step.get("bucket", owner).startswith(owner))]
    if kind in ("credit", "fee") and line["grant"]:
        own = [step for step in own if step.get("grant") == line["grant"]]
    elif kind == "fee":
        own = [step for step in own if step["kind"] == "fee"] or [step for step in own if step["kind"] not in ("credit", "commit")]
    rounds = [step for step in told["steps"] if step["kind"] == "round" and step["step"] != line["step"]]
    alone = [step for step in own if not step["whole_bucket"]] or own
    if kind == "usage" and rounds and sum((num(step["out"]) for step in alone), num(0)) != exact:
        if any("measure" in step for step in rounds):
            return  # it adds what a part of the amount is rounded by
        own = [step for step in rounds if step["step"] == rounds[0]["step"]]  # a rounding of the price changes its charges
    is_whole = kind == "minimum" and any(step["whole_bucket"] for step in own)
    parts = [step for step in own if step["whole_bucket"] == is_whole] or own
    if kind == "covered" or (exact == 0 and kind == "usage") or any(step["kind"] == "cover" for step in parts if kind == "negation"):
        return
    expect(parts or exact == 0, "no step %s", line["step"])
    if any("measure" in step for step in parts if step["kind"] == "round"):
        return
    candidates = [parts]
    if any("bucket" not in step for step in parts):  # whose it is of two of a name nobody can tell
        candidates += [[step for step in parts if step["line"] == at] for at in {step["line"] for step in parts}]
    expect(any(comes_to(kind, some) == exact for some in candidates), "its steps come to %s, the line to %s",
           plain(comes_to(kind, parts)), plain(exact))


def comes_to(kind, steps):
    """What a step takes goes down; a maximum and a rounding leave what they make of what goes in."""
    out = sum((num(step.get("worth", step["out"])) for step in steps), num(0))
    taken = sum((num(step["in"]) for step in steps), num(0))
    return out - taken if kind in ("cap", "rounding") else -out if kind in ("discount", "credit", "negation") else out
