"""What the month comes to, worked out by itself from its files: hour by hour, and sustained use level by level of cores."""
import csv
import json
from datetime import datetime, timedelta, timezone
from decimal import Decimal as D, getcontext
from pathlib import Path

getcontext().prec = 60
HERE = Path(__file__).parent
BEGIN, HOURS = datetime(2026, 10, 1, tzinfo=timezone.utc), 744
LIST = {"n1.core": D("0.0475"), "n1.ram": D("0.0064"), "e2.core": D("0.02"), "e2.ram": D("0.003"), "sql.core": D("0.05")}
SUSTAINED = {"n1.core", "n1.ram"}


def hour_of(text):
    return int((datetime.fromisoformat(text.replace("Z", "+00:00")) - BEGIN).total_seconds() // 3600)


by_hour, storage = [[] for _ in range(HOURS)], {}
with (HERE / "usage.ndjson").open(encoding="utf-8") as lines:
    for line in lines:
        event = json.loads(line)
        account, data = event["subject"], event["data"]
        if event["type"] == "gcp.vm":                          # all of these begin and end with an hour
            for hour in range(hour_of(data["start"]), hour_of(data["end"])):
                for part, count in (("core", data["cores"]), ("ram", data["gb"])):
                    by_hour[hour].append([account, data["vm"], data["family"] + "." + part, D(count)])
        elif event["type"] == "gcp.sql":
            by_hour[hour_of(event["time"])].append([account, data["database"], "sql.core", D(data["cores"]) * data["hours"]])
        else:
            storage[account] = storage.get(account, 0) + D(data["gb"]) * data["hours"] / HOURS

with (HERE / "commitments.csv").open(encoding="utf-8") as rows:
    commitments = list(csv.DictReader(rows))
covered, unused, used, fees, left_over = {}, {}, {}, {}, {}
for hour, rows in enumerate(by_hour):
    for commitment in commitments:                            # resources stand before money in the file
        if not hour_of(commitment["from"]) <= hour:
            continue
        name, owner = commitment["id"], commitment["account"]
        attributes = dict(pair.split("=") for pair in commitment["attributes"].split(";"))
        if commitment["offering"] == "resource":
            left = full = D(commitment["count"])
            fee = full * D(commitment["recurring"])
            sku = attributes["family"] + "." + attributes["part"]
            eligible = sorted((r for r in rows if r[2] == sku), key=lambda r: (r[0] != owner, r[1]))
            weights = {sku: D(1)}
        else:
            left = full = fee = D(commitment["amount"]) * 72 / 100
            weights = {sku: rate * 72 / 100 for sku, rate in LIST.items() if sku != "sql.core"}
            eligible = sorted((r for r in rows if r[2] in weights), key=lambda r: (r[0] != owner, weights[r[2]], r[0], r[1]))
        for row in eligible:
            part = min(row[3], left / weights[row[2]])
            left -= part * weights[row[2]]
            row[3] -= part
            covered[row[0], row[2]] = covered.get((row[0], row[2]), 0) + part
        unused[name] = unused.get(name, 0) + left
        used[name] = used.get(name, 0) + (full - left) / full * fee
        fees[owner] = fees.get(owner, 0) + fee
    for account, _, sku, quantity in rows:
        left_over.setdefault((account, sku), [D(0)] * HOURS)[hour] += quantity

cost = {"web": D(0), "batch": D(0)}
for (account, sku), quantities in left_over.items():
    if sku not in SUSTAINED:
        cost[account] += sum(quantities) * LIST[sku]
        continue
    levels = sorted(set(quantities) - {D(0)})                  # each level is as high as to the one below
    below = D(0)
    for level in levels:
        hours = sum(quantity >= level for quantity in quantities)
        for quarter, share in enumerate((D(1), D("0.8"), D("0.6"), D("0.4"))):
            cost[account] += (level - below) * min(max(hours - quarter * 186, 0), 186) * LIST[sku] * share
        below = level
for account, quantity in storage.items():
    cost[account] += quantity * D("0.02")

for account in cost:
    print("by_account", account, cost[account] + fees.get(account, 0))
print("by_kind usage", sum(cost.values()))
print("by_kind commitment", sum(fees.values()))
for sku in LIST:
    quantity = sum(q for (_, s), q in covered.items() if s == sku)
    if quantity:
        print(f"quantity {sku}.covered", quantity)
    print(f"quantity {sku}.usage", sum(sum(q) for (_, s), q in left_over.items() if s == sku))
for name in unused:
    print("unused", name, unused[name])
    print("effective", name, used[name])
print("total", sum(cost.values()) + sum(fees.values()))
