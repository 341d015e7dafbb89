#!/usr/bin/env python3
"""Random worlds billed by farthing: the same bytes however the input is given, the amounts of the naive rater.

    sim_bill.py --farthing PATH [--first S] [--seeds N] [--jobs J] [--keep] [--work DIR] [--verbose]

Each seed is one world (world.py).  Its canonical input is billed once, then again shuffled, duplicated, split over files,
formats, threads and little memory: bills, lines, usage, exclusions and closings must be equal byte for byte.  The amounts must be
those of the naive rater (usage.py, rater.py), and the laws of laws.py must hold.  What fails is repeated with
`make sim-bill SEED=n`; README.md says what is compared and what was decided."""
import argparse
import collections
import csv
import gzip
import io
import itertools
import json
import multiprocessing
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import explanations
import laws
import times
import usage as usage_room
import world as world_room
from exact import num, plain, quantize, quantize_line
from rater import Bill
from setting import Setup
from world import Raw, World, block, write_csv, write_json
from world_currency import DIGITS

SAME = ["bills.ndjson", "lines.csv", "usage.csv", "exclusions.csv", "closing.ndjson"]
ACCOUNT_COLUMNS = ["id", "organization", "plan", "since", "currency"]
MEMBER_COLUMNS = ["account", "organization", "from", "to"]
SETTING_COLUMNS = ["account", "setting", "value", "from", "to"]
OVERRIDE_COLUMNS = ["account", "sku", "from", "to", "up_to", "rate", "flat", "scope", "cover"]
EVENT_COLUMNS = ["id", "source", "type", "subject", "time", "q", "region", "size", "res", "state",
                 "text", "sku", "n", "start", "end", "b"]
CSV_MAPPING = {"columns": {name: {"to": {"b": "data.a.b"}.get(name, "data." + name),
                                  "number": True} if name in ("q", "b")
                           else name if name in EVENT_COLUMNS[:5] else "data." + name
                           for name in EVENT_COLUMNS}}


class Mismatch(Exception):
    pass


def expect(truth, text, *arguments):
    if not truth:
        raise Mismatch(text % arguments if arguments else text)


# ---- inputs ----

class Inputs:
    """Files of one run, in a folder of their own."""

    def __init__(self, folder):
        os.makedirs(folder)
        self.folder, self.stdin = folder, None
        self.catalogs, self.records, self.events, self.tables = [], [], [], []

    def write(self, kind, name, content):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())
        getattr(self, kind).append(path)
        return path

    def command(self):
        out = []
        for option, paths in (("--catalog", self.catalogs), ("--accounts", self.records),
                              ("--events", self.events)):
            for path in paths:
                out += [option, path]
        return out


def canonical_inputs(world, folder, lines=None, catalog=None):
    inputs = Inputs(folder)
    catalog = write_tables(world, catalog or world.catalog, inputs, "")
    inputs.write("catalogs", "catalog.yaml", write_json(catalog, indent=1))
    write_records(world, inputs)
    inputs.write("events", "events.ndjson",
                 "".join(line + "\n" for line in (world.lines if lines is None else lines)))
    return inputs


def write_tables(world, catalog, inputs, folder):
    """The catalog with the rows that stand in files put there: in the same bytes, which its digest names."""
    out = dict(catalog)
    for section, name in (("tables", "rates"), ("series", "spot")):
        if name not in world.filed or name not in catalog.get(section, {}):
            continue
        body = catalog[section][name]
        columns = ["time", *body["keys"], "value"] if section == "series" else [*body["keys"], "usd", "from", "to"]
        rows = [dict(zip(columns, row), note="x, \"y\"") for row in body.get("rows", body.get("points"))]
        rows = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
        order = random.Random(name + str(len(rows))).sample(columns + ["note"], len(columns) + 1)
        path = "data/%s.csv" % name
        inputs.write("tables", folder + path, write_csv(rows, order))
        out[section] = dict(catalog[section], **{name: {"keys": body["keys"], "file": path}})
        if section == "tables":
            out[section][name]["value"] = "usd"
    return out


def write_records(world, inputs):
    inputs.write("records", "accounts.csv", write_csv(world.accounts, ACCOUNT_COLUMNS))
    if world.memberships:
        inputs.write("records", "memberships.csv", write_csv(world.memberships, MEMBER_COLUMNS))
    if world.overrides:
        inputs.write("records", "overrides.csv", write_csv(world.overrides, OVERRIDE_COLUMNS))
    if settings(world):
        inputs.write("records", "settings.csv", write_csv(settings(world), SETTING_COLUMNS))


def settings(world):
    """Who shares, and what else accounts say, as records."""
    out = []
    for record in world.accounts:
        out += [dict(item, account=record["id"]) for item in record.get("settings", [])]
        for item in record.get("sharing", []):
            for name, value in (("sharing", item.get("mode")), ("sharing.group", item.get("group"))):
                if value:
                    out.append(dict({k: v for k, v in item.items() if k in ("from", "to")}, account=record["id"], setting=name, value=value))
    return out


# ---- perturbed inputs: other bytes, same meaning ----

def zstd_frame(data):
    """A frame of raw blocks: valid zstd without a compressor."""
    out = [b"\x28\xb5\x2f\xfd\xa0", len(data).to_bytes(4, "little")]
    pieces = [data[i:i + 100000] for i in range(0, len(data), 100000)] or [b""]
    for i, piece in enumerate(pieces):
        out += [((i + 1 == len(pieces)) | len(piece) << 3).to_bytes(3, "little"), piece]
    return b"".join(out)


def csv_record(line):
    """The fields of an event that CSV can hold, else None."""
    event = accepted_event(line)
    if event is None or "data" not in event or event["type"] == usage_room.WITHDRAWAL:
        return None
    data = dict(event["data"])
    nested = data.pop("a", {})
    if not isinstance(nested, dict) or set(data) - set(EVENT_COLUMNS[5:-1]):
        return None
    out = {name: event.get(name) for name in EVENT_COLUMNS[:5]}
    out.update(data, b=nested.get("b"))
    for name, value in out.items():
        if value is None or value == "":
            if name in EVENT_COLUMNS[:5] or value == "":
                return None
            out[name] = ""
        elif isinstance(value, Raw) != (name in ("q", "b")) or not isinstance(value, str) or \
                (isinstance(value, Raw) and "e" in value.lower()):
            return None
    return out


def duplicate(lines, world, rng):
    """Copies of lines, now and then in another spelling."""
    out = []
    for line in lines:
        out.append(line)
        for _ in range(rng.choice([0, 0, 0, 1, 2, 5])):
            out.append(respell(line, rng))
    return out


def accepted_event(line):
    """The one event of a line that is not refused, else None."""
    try:
        records = usage_room.read_line(line)
        for record in records:
            usage_room.Event(record)
    except usage_room.Refused:
        return None
    event = json.loads(line, parse_float=Raw, parse_int=Raw)
    return event if isinstance(event, dict) else None


def respell(line, rng):
    event = accepted_event(line)
    return line if event is None else write_json(event, rng)


def split_events(lines, inputs, rng):
    """Files of all kinds, a folder, standard input."""
    parts = [[] for _ in range(rng.randrange(2, 6))]
    table = []
    for line in lines:
        record = csv_record(line)
        if record and rng.random() < 0.3:
            table.append(record)
        else:
            rng.choice(parts).append(line)
    for i, part in enumerate(parts):
        data = "".join(line + rng.choice(["\n", "\n", "\r\n"]) for line in part).encode()
        kind = rng.choice(["plain", "gz", "zst", "folder", "pipe"])
        if kind == "plain":
            inputs.write("events", "part%d.ndjson" % i, data.rstrip(b"\r\n"))
        elif kind == "gz":
            inputs.write("events", "part%d.ndjson.gz" % i, gzip.compress(data, 1))
        elif kind == "zst":
            inputs.write("events", "part%d.ndjson.zst" % i, zstd_frame(data))
        elif kind == "pipe" and inputs.stdin is None:
            inputs.stdin = data
            inputs.events.append("-")
        else:
            inputs.write("events", "folder%d/deep/part.ndjson" % i, data)
            inputs.events[-1] = os.path.join(inputs.folder, "folder%d" % i)
    if table:
        data = write_csv(table, EVENT_COLUMNS).encode()
        if rng.random() < 0.5:
            inputs.write("events", "table.csv.gz", gzip.compress(data, 1))
        else:
            inputs.write("events", "table.csv", data)
    rng.shuffle(inputs.events)


def reorder(value, rng):
    """Keys of mappings in another order; lists of the language keep theirs."""
    if isinstance(value, dict):
        items = [(key, reorder(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [reorder(item, rng) for item in value]
    return value


def split_catalog(catalog, inputs, rng):
    parts = [{} for _ in range(rng.randrange(1, 5))]
    for key, value in catalog.items():
        value = reorder(value, rng)
        if key in ("prices", "contracts"):
            for item in rng.sample(value, len(value)):
                rng.choice(parts).setdefault(key, []).append(item)
        elif key in ("products", "meters", "clocks", "tables", "steps", "plans"):
            for name, item in value.items():
                rng.choice(parts).setdefault(key, {})[name] = item
        else:
            rng.choice(parts)[key] = value
    for i, part in enumerate(parts):
        if part:
            part = dict(rng.sample(list(part.items()), len(part)))
            text = block(part) if rng.random() < 0.6 else write_json(part, indent=rng.choice([1, 2]))
            inputs.write("catalogs", "catalog/%d.yaml" % i, "# part %d\n%s" % (i, text))
    if rng.random() < 0.5:
        inputs.catalogs = [os.path.join(inputs.folder, "catalog")]


def shuffle_records(world, inputs, rng):
    for name, records, columns in (("accounts", world.accounts, ACCOUNT_COLUMNS),
                                   ("memberships", world.memberships, MEMBER_COLUMNS),
                                   ("overrides", world.overrides, OVERRIDE_COLUMNS),
                                   ("settings", settings(world), SETTING_COLUMNS)):
        records = rng.sample(records, len(records))
        if not records:
            continue
        if rng.random() < 0.4:
            text = "".join(write_json({k: v for k, v in r.items() if v != "" and k in columns}, rng) + "\n"
                           for r in records)
            inputs.write("records", name + ".ndjson", text)
        else:
            inputs.write("records", name + ".csv",
                         write_csv(records, rng.sample(columns, len(columns))))
    rng.shuffle(inputs.records)


PERTURBATIONS = [
    ("shuffled", {"shuffle"}, ["--threads", "2"]),
    ("duplicated", {"shuffle", "duplicate", "split"}, ["--threads", "3"]),
    ("split", {"split", "records", "catalog"}, ["--threads", "7", "--memory", "64MiB"]),
    ("all", {"shuffle", "duplicate", "split", "records", "catalog"}, ["--threads", "1",
                                                                    "--memory", "64MiB"]),
    ("stored", {"shuffle", "duplicate", "split", "store"}, ["--threads", "2"]),
]


def perturbed_inputs(world, folder, kinds, rng):
    inputs = Inputs(folder)
    if "catalog" in kinds:
        split_catalog(write_tables(world, world.catalog, inputs, "catalog/"), inputs, rng)
    else:
        catalog = write_tables(world, world.catalog, inputs, "")
        inputs.write("catalogs", "catalog.yaml", write_json(catalog))
    if "records" in kinds:
        shuffle_records(world, inputs, rng)
    else:
        write_records(world, inputs)
    lines = list(world.lines)
    if "duplicate" in kinds:
        lines = duplicate(lines, world, rng)
    if "shuffle" in kinds:
        rng.shuffle(lines)
    if "split" in kinds:
        split_events(lines, inputs, rng)
    else:
        inputs.write("events", "events.ndjson", "".join(line + "\n" for line in lines))
    return inputs


# ---- a run and its output ----

class Output:
    def __init__(self, folder):
        self.folder = folder
        self.stored_in = None  # where `farthing import` has listed what it refused
        self.bytes = {}
        for name in SAME:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                self.bytes[name] = file.read()
        with open(os.path.join(folder, "summary.json"), "rb") as file:
            self.summary = json.load(file)

    def rows(self, name):
        return list(csv.DictReader(io.StringIO(self.bytes[name].decode(), newline="")))

    def objects(self, name):
        data = self.bytes.get(name)
        if data is None:
            return self.objects_in(self.folder, name)
        return [json.loads(line) for line in data.decode().splitlines()]

    @staticmethod
    def objects_in(folder, name):
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            return []
        with open(path, "rb") as file:
            return [json.loads(line) for line in file.read().decode().splitlines()]

    def lines(self):
        return self.rows("lines.csv")

    def bills(self):
        return self.objects("bills.ndjson")


class Runner:
    """Runs farthing and counts."""

    def __init__(self, farthing, folder):
        self.farthing, self.folder = farthing, folder
        self.counts = collections.Counter()
        self.number = 0

    def path(self, name):
        self.number += 1
        return os.path.join(self.folder, "%02d-%s" % (self.number, name))

    def run(self, inputs, name, period, options=(), status=0):
        out = self.path(name + ".out")
        command = [self.farthing, "bill", *inputs.command(), "--period", period, "--out", out,
                   "--quiet", *options]
        with open(os.path.join(inputs.folder, "command"), "w", encoding="utf-8") as file:
            file.write(" ".join(command) + "\n")
        done = subprocess.run(command, input=inputs.stdin or b"", capture_output=True, check=False,
                              timeout=120)
        self.counts["runs"] += 1
        expect(done.returncode == status, "%s: exit code %d: %s", name, done.returncode,
               done.stderr.decode(errors="replace").strip()[:2000])
        return Output(out) if status == 0 else None

    def store(self, inputs, rng):
        """Some of the events as segments, or as what is exported of these; the folder of what was refused on the way."""
        stored = rng.sample(inputs.events, rng.randrange(1, len(inputs.events) + 1))
        out = self.path("segments")
        self.call(inputs, "import", stored, out)
        inputs.events = [path for path in inputs.events if path not in stored]
        if "-" in stored:
            inputs.stdin = None
        again = rng.random()
        if again < 0.3:
            self.call(inputs, "export", [out], out + ".ndjson")
        elif again < 0.5:
            self.call(inputs, "import", [out], out + ".again")
        inputs.events.append(out + (".ndjson" if again < 0.3 else ".again" if again < 0.5 else ""))
        return out

    def call(self, inputs, command, events, out):
        words = [self.farthing, command, "--out", out, "--quiet"]
        for option, paths in (("--catalog", inputs.catalogs), ("--accounts", inputs.records), ("--events", events)):
            for path in paths:
                words += [option, path]
        done = subprocess.run(words, input=inputs.stdin or b"", capture_output=True, check=False, timeout=120)
        expect(done.returncode == 0, "%s: exit code %d: %s", " ".join(words), done.returncode,
               done.stderr.decode(errors="replace").strip()[:2000])


# ---- comparison with the naive rater ----

def letters(output):
    return {(letter["reason"], letter.get("sha256")) for folder in (output.folder, output.stored_in) if folder
            for letter in Output.objects_in(folder, "dead_letters.ndjson")}


def conflicts(output):
    out = set()
    for conflict in output.objects("conflicts.ndjson"):
        text = conflict["bytes"]
        try:
            record = json.loads(text, parse_float=num, parse_int=num)
            text = usage_room.Event(record).canonical
        except (ValueError, KeyError, usage_room.Refused):
            text = ""  # a row of CSV
        out.add((conflict["source"], conflict["id"], text))
    return out


def compare_usage(rated, output):
    expected = {}
    for rows in rated.rows.values():
        for row in rows:
            dims = ";".join("%s=%s" % pair for pair in row.dims if pair[1])
            expected[(row.payer, row.account, row.meter, row.sku, row.resource, dims,
                      row.slot, *(part.decode() for part in row.event))] = (row.quantity, row.events)
    got = {}
    for row in output.rows("usage.csv"):
        key = (row["payer"], row["account"], row["meter"], row["sku"], row["resource"],
               row["dimensions"], times.parse_date(row["from"]))
        if row["id"]:
            key += (row["source"], row["id"])
        expect(key not in got, "usage row twice: %s", key)
        got[key] = (num(row["quantity"]), int(row["events"]))
    compare("usage row", expected, got)
    return len(expected)


def compare(what, expected, got):
    for key in sorted(set(expected) | set(got), key=str):
        if expected.get(key) != got.get(key):
            raise Mismatch("%s %s: the rater has %s, farthing %s" % (
                what, readable(key), show(expected.get(key)), show(got.get(key))))


def readable(key):
    """A key with its instants as times."""
    if isinstance(key, str):
        return key
    return "/".join(times.form(part) if isinstance(part, int) and part > 10 ** 15
                    else "" if part is None else str(part) for part in key)


def show(value):
    if isinstance(value, tuple):
        return "(" + ", ".join(map(show, value)) + ")"
    return "nothing" if value is None else str(value) if isinstance(value, (str, int)) \
        else plain(value)


def compare_exclusions(rated, bills, output):
    expected = collections.defaultdict(lambda: [0, num(0)])
    for (reason, account, meter), (events, quantity) in rated.exclusions.items():
        expected[(reason, account, meter)][0] += events
    for bill in bills:
        for row in {id(row): row for row in bill.unpriced}.values():
            expected[("UNPRICED", row.account, row.meter)][0] += row.events
    got = collections.defaultdict(lambda: [0, num(0)])
    for row in output.rows("exclusions.csv"):
        if row["reason"] != "FREE":  # compared by the amounts it leaves
            got[(row["reason"], row["account"], row["meter"])][0] += int(row["events"])
    compare("exclusion", {k: v[0] for k, v in expected.items()}, {k: v[0] for k, v in got.items()})


def compare_acceptance(accepted, output):
    """Counts of what was refused, taken once, seen again, or in conflict; withdrawals are counted apart."""
    summary = output.summary
    compare("refused", dict(accepted.refused), summary["refused_by_reason"])
    used = [event for event in accepted.events if event.type != usage_room.WITHDRAWAL]
    expect(summary["accepted"] == len(used), "accepted: the rater has %s, farthing %s", len(used),
           summary["accepted"])
    compare("events", {"duplicates": accepted.duplicates, "conflicts": accepted.conflicting},
            {k: summary[k] for k in ("duplicates", "conflicts")})
    got = {text for _, _, text in conflicts(output)}
    expect(got == accepted.conflicts, "conflicts differ: the rater has %s, farthing %s",
           sorted(accepted.conflicts), sorted(got))


def comparable(world, setup):
    """What of a line's key is compared: a blended tier speaks for no tier."""
    blended = set()
    for price in setup.all_prices():
        for step in price.steps:
            if step.kind == "tier" and (
                    "attribute" in step.body or step.body.get("mode") == "volume"):
                blended.add((price.name, step.name))

    def key(account, sku, price, step, kind, tier, grant):
        if kind != "usage" or (price, step) in blended:
            tier = None
        return account, sku, price, step, kind, tier, grant
    key.blended = blended
    return key


def compare_lines(world, setup, bills, output):
    key = comparable(world, setup)
    expected, got = {}, {}
    for bill in bills:
        sums = collections.defaultdict(num_zero)
        for parts, amount in bill.sums().items():
            sums[key(*parts)] += amount
        expected[(bill.payer, *bill.cut)] = {k: v for k, v in sums.items() if v}
    documents = {bill["bill"]: bill for bill in output.bills()}
    lines = output.lines()
    for name, document in documents.items():
        where = (document["payer"], times.parse_date(document["from"]),
                 times.parse_date(document["to"]))
        expect(where not in got, "two bills of %s", where)
        currency = setup.currency(document["payer"], where[1:])
        expect(document["currency"] == currency, "%s is in %s", name, document["currency"])
        got[where] = collections.defaultdict(num_zero)
        documents[name] = where
    for line in lines:
        if line["kind"] == "rounding" and not line["level"]:  # of the total
            continue
        where = documents[line["bill"]]
        part = key(line["account"], line["sku"], line["price"], line["step"], line["kind"],
                   int(line["tier"]) if line["tier"] else None, line["grant"])
        got[where][part] += num(line["exact"])
    for where in sorted(set(expected) | set(got), key=str):
        compare("%s line" % readable(where), expected.get(where, {}),
                {k: v for k, v in got.get(where, {}).items() if v})
    return len(lines)


def compare_cover(world, bills, output):
    """Quantities and effective cost of what commitments cover, cost and leave."""
    expected = collections.defaultdict(lambda: [num(0), num(0)])
    got = collections.defaultdict(lambda: [num(0), num(0)])
    for bill in bills:
        for c in bill.charges:
            if c.kind in ("covered", "commitment"):
                add_to(expected[(bill.payer, c.account, c.sku, c.kind, c.step, c.grant)], c.quantity, c.effective)
        for name, account, _, capacity, used, rest in bill.unused():
            add_to(expected[(bill.payer, account, "", "unused", "unused", name)], capacity - used, rest)
    payers = {bill["bill"]: bill["payer"] for bill in output.bills()}
    for line in output.lines():
        if line["kind"] in ("covered", "commitment", "unused"):
            add_to(got[(payers[line["bill"]], line["account"], line["sku"], line["kind"], line["step"], line["grant"])],
                   num(line["quantity"]), num(line["effective"] or "0"))
    foreign = {bill.payer for bill in bills if bill.currency != bill.setup.catalog.get("currency", "USD")}
    for key, pair in [*expected.items(), *got.items()]:
        if key[0] in foreign:  # the rater leaves it in the catalog's
            pair[1] = num(0)
    compare("quantity and effective cost of", {k: tuple(v) for k, v in expected.items() if any(v)},
            {k: tuple(v) for k, v in got.items() if any(v)})
    return len(got)


OWN_KINDS = ("usage", "fee", "minimum", "shortfall", "covered", "commitment", "credit")  # of lines that adjust no other, or may not


def compare_columns(world, setup, bills, output):
    """What else stands on lines: quantity, what it would cost at the list rate, level, unit, rate, and the contract of those with a SKU."""
    key = comparable(world, setup)
    expected, got = (collections.defaultdict(lambda: [num(0), num(0)]) for _ in range(2))
    for bill in bills:
        for c in bill.charges:
            if c.kind not in OWN_KINDS or c.of is not None:
                continue
            part = key(c.account, c.sku, c.price, c.step, c.kind, c.tier, c.grant)
            level = found_at(setup, c.price, c.level.split("/")[0] + (" terms" if not c.price else ""))
            rate = plain(num(c.rate)) if c.kind == "usage" and c.rate is not None and part[2:4] not in key.blended else ""
            add_to(expected[(bill.payer, *bill.cut, *part, level if c.kind == "usage" and c.sku else "", c.unit, (c.contract or "") if c.sku and c.price else "", rate)],
                   c.quantity, c.listed)
    documents = {bill["bill"]: bill for bill in output.bills()}
    for line in output.lines():
        is_adjusting = line["kind"] == "credit" and not line["rate"]
        if line["kind"] not in OWN_KINDS or is_adjusting:
            continue
        document = documents[line["bill"]]
        part = key(line["account"], line["sku"], line["price"], line["step"], line["kind"], int(line["tier"]) if line["tier"] else None, line["grant"])
        rate = line["rate"] if line["kind"] == "usage" and part[2:4] not in key.blended else ""
        add_to(got[(document["payer"], times.parse_date(document["from"]), times.parse_date(document["to"]), *part,
                    found_at(setup, line["price"], line["level"]) if line["kind"] == "usage" and line["sku"] else "", line["unit"], line["contract"] if line["sku"] and line["price"] else "", rate)], num(line["quantity"]), num(line["list"]))
    compare("quantity and list of", {k: tuple(v) for k, v in expected.items() if any(v)}, {k: tuple(v) for k, v in got.items() if any(v)})
    return len(got)


def found_at(setup, price, level):
    """A plan or contract may name a price of the catalog: it is found there, then."""
    owners = [*setup.catalog.get("plans", {}).values(), *setup.catalog.get("contracts", [])]
    return "named" if any(price in owner.get("prices", []) for owner in owners) else level


def add_to(pair, *values):
    for i, value in enumerate(values):
        pair[i] += value


def num_zero():
    return num(0)


def rounding_of(world, setup, bill):
    """How a bill is rounded: as the last contract of its payer in its time that says so, else as the catalog, else as its profile."""
    out = {"digits": "10", "mode": "half_up", "at": "line"}
    if world.catalog.get("profile") == "stripe":
        out["digits"] = "currency"
    start, end = times.parse_date(bill["from"]), times.parse_date(bill["to"])
    own = [item for item in sorted(setup.contracts[bill["payer"]], key=lambda item: item[0])
           if item[0] < end and start < item[1] and "rounding" in item[2]]
    is_exact = False
    for said in [world.catalog.get("rounding"), *(item[2]["rounding"] for item in own[-1:])]:
        is_exact = said == "exact" or (is_exact and said is None)
        out.update({} if said in (None, "exact") else said)
    digits = DIGITS[bill["currency"]] if out["digits"] == "currency" else int(out["digits"])
    return None if is_exact else digits, out["mode"], out["at"] == "total"


def compare_rounding(world, setup, output):
    """Each line is rounded once, and lines add up to the total."""
    lines = collections.defaultdict(list)
    for line in output.lines():
        lines[line["bill"]].append(line)
    for bill in output.bills():
        own, minor = lines[bill["bill"]], DIGITS[bill["currency"]]
        digits, mode, at_total = rounding_of(world, setup, bill)
        real = [line for line in own if line["kind"] != "rounding" or line["level"]]
        exact = sum((num(line["exact"]) for line in real), num(0))
        amount = sum((num(line["amount"]) for line in own), num(0))
        total = num(bill["total"])
        expect(amount == total, "%s: lines add up to %s, the total is %s", bill["bill"],
               plain(amount), plain(total))
        expect(num(bill["exact"]) == exact, "%s: exact %s, its lines %s", bill["bill"],
               bill["exact"], plain(exact))
        expect(bill["lines"] == len(own), "%s: %s lines, not %s", bill["bill"], len(own),
               bill["lines"])
        sections = sum((num(s["amount"]) for s in bill["sections"]), num(0))
        expect(sections == total, "%s: sections add up to %s", bill["bill"], plain(sections))
        if digits is None:
            expect(total == exact and all(line["amount"] == line["exact"] for line in own), "%s is rounded", bill["bill"])
            continue
        if at_total:
            rounded = quantize(exact, digits, mode)
            expect(quantize(rounded, minor, "half_up") == total or rounded == total,
                   "%s: total %s of exact %s", bill["bill"], plain(total), plain(exact))
            continue
        for line in real:
            expect(num(line["amount"]) == quantize_line(num(line["exact"]), line["kind"], digits, mode),
                   "%s line %s: amount %s of exact %s", bill["bill"], line["line"],
                   line["amount"], line["exact"])
        summed = sum((num(line["amount"]) for line in real), num(0))
        expect(total == quantize(summed, minor, "half_up"), "%s: total %s of lines %s",
               bill["bill"], plain(total), plain(summed))


def rate_world(world):
    setup = Setup(world.catalog, world.accounts, world.all_memberships(), world.overrides,
                  world.period_text)
    rated = usage_room.Usage(setup, world.lines)
    bills, last = [], {}
    for cut, payer in sorted((cut, payer) for payer in set(setup.accounts) for cut in setup.cuts(payer)):
        last[payer] = Bill(setup, payer, cut, rated.rows.get((payer, cut), []), last.get(payer))
        bills.append(last[payer])
    return setup, rated, bills


# ---- one seed ----

def same_output(name, first, other):
    for file in SAME:
        if first.bytes[file] != other.bytes[file]:
            a, b = first.bytes[file].splitlines(), other.bytes[file].splitlines()
            pair = next(((x, y) for x, y in itertools.zip_longest(a, b) if x != y), ("", ""))
            raise Mismatch("%s: %s differs:\n    %s\n    %s" % (name, file, *pair))
    expect(letters(first) == letters(other), "%s: other dead letters", name)
    expect({c[:2] for c in conflicts(first)} == {c[:2] for c in conflicts(other)},
           "%s: other conflicts", name)
    for count in ("accepted", "billed", "excluded_by_reason", "total", "amount_by_product"):
        expect(first.summary[count] == other.summary[count],
               "%s: other count of %s", name, count)


def run_seed(seed, arguments, folder):
    world = World(seed)
    world.catalog["csv"] = CSV_MAPPING
    runner = Runner(arguments.farthing, folder)
    failures = []

    def attempt(name, check):
        try:
            check()
        except Mismatch as why:
            failures.append("%s: %s" % (name, why))

    inputs = canonical_inputs(world, runner.path("canonical"))
    try:
        output = runner.run(inputs, "canonical", world.period_text, ["--threads", "1"])
    except Mismatch as why:
        return world, runner.counts, [str(why)]
    setup, rated, bills = rate_world(world)
    counts = runner.counts
    counts["events"] = rated.acceptance.records
    counts["bills"] = len(output.bills())
    if not arguments.only:
        compare_all(world, setup, rated, bills, output, runner, attempt)
    for name, law in laws.chosen(world, arguments.laws, arguments.only):
        def hold(name=name, law=law):
            if law(laws.Bench(world, setup, runner, output, canonical_inputs, name,
                              Mismatch)):
                counts["law " + name] += 1
        attempt("law " + name, hold)
    if arguments.explain and not failures:
        attempt("explain", count_of(counts, "explained", lambda: explanations.explain_all(
            runner, expect, seed, arguments.explain)))
    return world, counts, failures


def count_of(counts, name, check):
    def run():
        counts[name] += check()
    return run


def compare_all(world, setup, rated, bills, output, runner, attempt):
    """Against the rater, and against itself on other bytes of the same meaning."""
    counts = runner.counts

    def count(name, check):
        return count_of(counts, name, check)

    attempt("acceptance", lambda: compare_acceptance(rated.acceptance, output))
    attempt("usage", count("rows", lambda: compare_usage(rated, output)))
    attempt("exclusions", lambda: compare_exclusions(rated, bills, output))
    attempt("lines", count("lines", lambda: compare_lines(world, setup, bills, output)))
    if world.commitments:
        attempt("cover", count("cover", lambda: compare_cover(world, bills, output)))
    attempt("columns", count("columns", lambda: compare_columns(world, setup, bills, output)))
    attempt("rounding", lambda: compare_rounding(world, setup, output))
    for name, kinds, options in PERTURBATIONS:
        def perturb(name=name, kinds=kinds, options=options):
            rng = random.Random("%s/%s" % (world.seed, name))
            if output.bytes["usage.csv"].count(b"\n") > 1500:  # all rows of a payer must fit
                options = ["256MiB" if option == "64MiB" else option for option in options]
            elif world.commitments:  # charges of each hour
                options = ["96MiB" if option == "64MiB" else option for option in options]
            changed = perturbed_inputs(world, runner.path(name), kinds, rng)
            stored_in = runner.store(changed, rng) if "store" in kinds else None
            other = runner.run(changed, name, world.period_text, options)
            other.stored_in = stored_in
            counts["perturbed"] += 1
            same_output(name, output, other)
        attempt("purity", perturb)


def work(job):
    seed, arguments = job
    world_room.OPEN.update(arguments.open)
    world_room.LEFT.update(arguments.leave)
    world_room.SAID.update(arguments.say)
    folder = os.path.join(arguments.work, "seed-%d" % seed)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    try:
        world, counts, failures = run_seed(seed, arguments, folder)
        features = world.features
    except Exception as error:  # a seed that breaks the harness is a failure with a number, too
        import traceback
        counts, features = collections.Counter(), set()
        failures = ["%s: %s" % (type(error).__name__, traceback.format_exc(limit=-4))]
    if not arguments.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return seed, counts, features, failures


def report(counts, features, pairs, failures, seconds):
    names = sorted(features)
    possible = len(names) * (len(names) - 1) // 2
    print("seeds %d, events %d, usage rows %d, bills %d, lines compared %d" % (
        counts["seeds"], counts["events"], counts["rows"], counts["bills"], counts["lines"]))
    print("runs %d, of them perturbed %d, laws %s" % (
        counts["runs"], counts["perturbed"],
        ", ".join("%s %d" % (name[4:], counts[name]) for name in sorted(counts)
                  if name.startswith("law ")) or "none"))
    if counts["corrected lines"]:
        print("closed and corrected twice: %d lines compared with fresh bills, %d corrections written, "
              "%d amounts explained" % (
                  counts["corrected lines"], counts["corrections"], counts["amounts explained"]))
    if counts["too late"]:
        print("rows of what came too late: %d" % counts["too late"])
    if counts["explained"]:
        print("lines explained %d" % counts["explained"])
    if counts["long chains"]:
        print("chains of several months %d, all but the last month corrected in %d; lines of corrections: %s" % (
            counts["long chains"], counts["long chains corrected in all but the last"],
            ", ".join("%s %d" % (name[8:], counts[name]) for name in sorted(counts) if name.startswith("lasting "))))
    print("features %d, pairs that met %d of %d (%.1f%%)" % (
        len(names), len(pairs), possible, 100 * len(pairs) / max(1, possible)))
    print("mismatches %d in %.0f s" % (failures, seconds))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--farthing", default="build/release/farthing")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--laws", type=int, default=2, help="laws tried for each seed; -1: all")
    parser.add_argument("--only", help="this law alone, without the comparisons")
    parser.add_argument("--explain", type=int, default=0, metavar="N", help="explain so many lines of each output")
    parser.add_argument("--keep", action="store_true", help="keep the folder of each seed")
    parser.add_argument("--work", help="where the folders are")
    parser.add_argument("--open", action="append", default=[],
                        help="also worlds in which a difference is known: see README.md")
    parser.add_argument("--leave", action="append", default=[], choices=["terms", "currencies", "commitments", "wallets", "words"],
                        help="worlds without these")
    parser.add_argument("--say", action="append", default=[], help="worlds that all say this word of world_words.py")
    parser.add_argument("--pairs", action="store_true", help="list pairs that never met")
    arguments = parser.parse_args()
    arguments.farthing = os.path.abspath(arguments.farthing)
    if not os.path.exists(arguments.farthing):
        sys.exit("sim_bill: there is no %s; build it first" % arguments.farthing)
    made = arguments.work is None
    arguments.work = arguments.work or tempfile.mkdtemp(prefix="sim-bill-")
    os.makedirs(arguments.work, exist_ok=True)
    start, counts = time.time(), collections.Counter()
    features, pairs, failed = set(), set(), 0
    jobs = [(seed, arguments) for seed in range(arguments.first, arguments.first + arguments.seeds)]
    with multiprocessing.Pool(max(1, arguments.jobs)) as pool:
        for seed, own, used, failures in pool.imap(work, jobs):
            counts.update(own)
            counts["seeds"] += 1
            features |= used
            pairs |= set(itertools.combinations(sorted(used), 2))
            if failures:
                failed += 1
                print("make sim-bill SEED=%d   # %s" % (
                    seed, " ".join(failures[0].split())[:400]), flush=True)
                for failure in failures if arguments.seeds == 1 else []:
                    print("    %s" % failure)
        pool.close()  # the workers end by themselves: nothing is sent a signal
        pool.join()
    report(counts, features, pairs, failed, time.time() - start)
    if arguments.pairs:
        for pair in itertools.combinations(sorted(features), 2):
            if pair not in pairs:
                print("never met: %s, %s" % pair)
    if arguments.keep:
        print("folders: %s" % arguments.work)
    elif made:
        shutil.rmtree(arguments.work, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
