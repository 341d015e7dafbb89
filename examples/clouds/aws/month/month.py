"""What the month comes to, worked out by itself from its files: hour by hour, account by account."""
import csv
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal as D, getcontext
from math import ceil
from pathlib import Path

getcontext().prec = 60
HERE = Path(__file__).parent
BEGIN, HOURS = datetime(2026, 10, 1, tzinfo=timezone.utc), 744
FACTOR = {"m5.large": 4, "m5.xlarge": 8, "m5.2xlarge": 16, "m5.4xlarge": 32}
LIST = {"m5.large": D("0.10"), "m5.xlarge": D("0.20"), "m5.4xlarge": D("0.80"), "c5.xlarge": D("0.17"), "g4dn.xlarge": D("0.53"),
        "lambda.gb_second": D("0.00001667"), "lambda.requests": D("0.0000002")}
PLAN = {"m5.large": D("0.07"), "m5.xlarge": D("0.14"), "m5.4xlarge": D("0.56"), "c5.xlarge": D("0.12"), "g4dn.xlarge": D("0.40"),
        "lambda.gb_second": D("0.0000141695"), "lambda.requests": D("0.0000002")}
MEMBERS = {"shop", "data"}                                    # who shares at the last instant of the month: lab does not


def instant(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def read_csv(name):
    with (HERE / name).open(encoding="utf-8") as rows:
        return list(csv.DictReader(rows))


# ---- usage: machines and functions by the hour, storage by the month ----

seconds, functions, stored, scanned = {}, {}, {}, {}
with (HERE / "usage.ndjson").open(encoding="utf-8") as lines:
    for line in lines:
        event = json.loads(line)
        account, data = event["subject"], event["data"]
        hour = int((instant(event["time"]) - BEGIN).total_seconds() // 3600)
        if event["type"] == "ec2.run":
            at, end = instant(data["start"]), instant(data["end"])
            length = D(int((end - at).total_seconds()))
            while at < end:
                hour = int((at - BEGIN).total_seconds() // 3600)
                stop = min(end, BEGIN + timedelta(hours=hour + 1))
                key = hour, account, data["instance"], data["size"]
                part = D(int((stop - at).total_seconds())) / length * max(D(60), length)
                seconds[key] = seconds.get(key, 0) + part
                at = stop
        elif event["type"] == "lambda.run":
            times = D(data["times"])
            gb_seconds = D(ceil(data["milliseconds"])) / 1000 * data["megabytes"] / 1024 * times
            for sku, quantity in (("lambda.gb_second", gb_seconds), ("lambda.requests", times)):
                key = hour, account, data["function"], sku
                functions[key] = functions.get(key, 0) + quantity
        elif event["type"] == "s3.bytes":
            stored[account] = stored.get(account, 0) + D(data["bytes"]) * data["hours"] / 2 ** 30 / HOURS
        else:
            scanned[account] = scanned.get(account, 0) + D(data["hours"])

by_hour = {}
for (hour, account, resource, size), quantity in seconds.items():
    by_hour.setdefault(hour, []).append([account, resource, size, round(quantity / 3600, 6)])
free = {"lambda.gb_second": D(400000), "lambda.requests": D(1000000)}
for (hour, account, resource, sku), quantity in sorted(functions.items()):
    given = min(free[sku], quantity)
    free[sku] -= given
    if quantity > given:
        by_hour.setdefault(hour, []).append([account, resource, sku, quantity - given])

# ---- commitments, hour by hour ----

usage, covered, planned, unused, used, fees = {}, {}, {}, {}, {}, {}
commitments = read_csv("commitments.csv")


def take(row, quantity, name, cost, kinds):
    row[3] -= quantity
    kinds[row[2]] = kinds.get(row[2], 0) + quantity
    used[name] = used.get(name, 0) + cost


for hour in range(HOURS):
    rows = by_hour.get(hour, [])
    now = BEGIN + timedelta(hours=hour)
    alive = [c for c in commitments if instant(c["from"] + "T00:00:00Z") <= now < instant(c["to"] + "T00:00:00Z")]
    for own in (True, False):
        for lease in sorted((c for c in alive if c["offering"] == "regional"), key=lambda c: (c["from"], c["id"])):
            name, count = lease["id"], int(lease["count"])
            attributes = dict(pair.split("=") for pair in lease["attributes"].split(";"))
            units = D(count) * int(attributes["factor"])
            days = (instant(lease["to"] + "T00:00:00Z") - instant(lease["from"] + "T00:00:00Z")).days
            cost = count * (D(lease["recurring"]) + D(lease["upfront"] or 0) / (days * 24)) / units
            if own:
                fees[lease["account"]] = fees.get(lease["account"], 0) + count * D(lease["recurring"])
                lease["left"] = units
            found = [r for r in rows if r[2].startswith(attributes["family"] + ".")
                     and (r[0] == lease["account"] if own else r[0] in MEMBERS)]
            for row in sorted(found, key=lambda r: (FACTOR[r[2]], r[1])):
                part = min(row[3], lease["left"] / FACTOR[row[2]])
                lease["left"] -= part * FACTOR[row[2]]
                take(row, part, name, part * FACTOR[row[2]] * cost, covered)
            if not own:
                unused[name] = unused.get(name, 0) + lease["left"]
    for plan in (c for c in alive if c["offering"] == "compute_plan"):
        left = amount = D(plan["amount"])
        fees[plan["account"]] = fees.get(plan["account"], 0) + amount
        for reached in ({plan["account"]}, MEMBERS):
            for row in sorted((r for r in rows if r[0] in reached), key=lambda r: (-(1 - PLAN[r[2]] / LIST[r[2]]), PLAN[r[2]], r[0], r[1])):
                part = min(row[3], left / PLAN[row[2]])
                left -= part * PLAN[row[2]]
                take(row, part, plan["id"], part * PLAN[row[2]], planned)
        unused[plan["id"]] = unused.get(plan["id"], 0) + left
    for account, _, sku, quantity in rows:
        usage[account, sku] = usage.get((account, sku), 0) + quantity
for lease in commitments:                                     # what is paid as the term begins
    if lease["upfront"] and instant(lease["from"] + "T00:00:00Z") >= BEGIN:
        fees[lease["account"]] += int(lease["count"]) * D(lease["upfront"])

# ---- what is left on demand, storage together, discount, support ----

cost = {account: {} for account in ("shop", "data", "lab")}
for (account, sku), quantity in usage.items():
    cost[account][sku] = quantity * LIST[sku]
position = D(0)
for account in sorted(stored):
    below, amount = D(0), D(0)
    for end, rate in ((D(51200), D("0.023")), (D(512000), D("0.022"))):
        part = max(min(position + stored[account], end) - max(position, below), 0)
        amount, below = amount + part * rate, end
    position += stored[account]
    cost[account]["s3.standard"] = amount
gross = {account: sum(cost[account].values()) + fees.get(account, 0) for account in cost}
market = {account: hours * D("0.50") for account, hours in scanned.items()}
off = {account: gross[account] * 7 / 100 for account in gross}
support = D(0)
below = 0
for end, percent in ((10000, 10), (80000, 7), (250000, 5)):
    support += D(max(min(gross["shop"], end) - below, 0)) * percent / 100
    below = end
support = max(support, D(100))

for account in gross:
    print("by_account", account, gross[account] - off[account] + market.get(account, 0) + (support if account == "shop" else 0))
print("by_kind usage", sum(sum(c.values()) for c in cost.values()) + sum(market.values()))
print("by_kind commitment", sum(fees.values()))
print("by_kind discount", -sum(off.values()))
print("by_kind fee", support)
for sku, quantity in sorted({**covered, **{s: covered.get(s, 0) + q for s, q in planned.items()}}.items()):
    if quantity:
        print(f"quantity {sku}.covered", quantity)
for sku in ("m5.large", "m5.xlarge", "m5.4xlarge", "c5.xlarge", "g4dn.xlarge"):
    print(f"quantity {sku}.usage", sum(q for (_, s), q in usage.items() if s == sku))
for name in sorted(unused):
    print("unused", name, unused[name])
    print("effective", name, used[name])
print("total", sum(gross.values()) - sum(off.values()) + sum(market.values()) + support)
