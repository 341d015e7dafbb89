"""What the month comes to, worked out by itself from its files, hour by hour."""
import csv
import json
from datetime import datetime, timezone
from decimal import Decimal as D, getcontext
from pathlib import Path

getcontext().prec = 60
HERE = Path(__file__).parent
BEGIN, HOURS = datetime(2026, 10, 1, tzinfo=timezone.utc), 744
RATIO = {"D2s": 1, "D4s": 2, "D8s": 4}
LIST = {"D2s": D("0.10"), "D4s": D("0.20"), "D8s": D("0.40"), "E4s": D("0.25"), "E8s": D("0.50")}
OWN = LIST | {"E8s": D("0.24")}
PLAN = {"3": {"D2s": D("0.06"), "D4s": D("0.12"), "D8s": D("0.24"), "E4s": D("0.125"), "E8s": D("0.25")},
        "1": {"D2s": D("0.08"), "D4s": D("0.16"), "D8s": D("0.32"), "E4s": D("0.20"), "E8s": D("0.40")}}


def hour_of(text):
    text = text if "T" in text else text + "T00:00:00Z"
    return int((datetime.fromisoformat(text.replace("Z", "+00:00")) - BEGIN).total_seconds() // 3600)


by_hour, cost = [[] for _ in range(HOURS)], {"s1": D(0), "s2": D(0)}
with (HERE / "usage.ndjson").open(encoding="utf-8") as lines:
    for line in lines:
        event = json.loads(line)
        account, data = event["subject"], event["data"]
        if event["type"] == "azure.vm":
            by_hour[hour_of(event["time"])].append([account, data["vm"], data["size"], D(str(data["hours"])), data["group"]])
            if data["os"] == "windows":
                cost[account] += D(str(data["hours"])) * data["cores"] * D("0.046")
        else:
            cost[account] += D(data["gb"]) * data["hours"] / HOURS * D("0.12")

with (HERE / "commitments.csv").open(encoding="utf-8") as rows:
    commitments = list(csv.DictReader(rows))                   # in the order in which they pay: narrow first, three years first
covered, left_over, unused, used, fees = {}, {}, {}, {}, {"s1": D(0), "s2": D(0)}
for hour, rows in enumerate(by_hour):
    for commitment in commitments:
        if hour < hour_of(commitment["from"]):
            continue
        name, owner = commitment["id"], commitment["account"]
        attributes = dict(pair.split("=") for pair in commitment["attributes"].split(";"))
        reached = [row for row in rows if (attributes["reach"] == "shared" or row[0] == owner) and row[4] == attributes.get("group", row[4])]
        if commitment["offering"] == "reservation":
            full = D(commitment["count"]) * int(attributes["ratio"])
            fee = D(commitment["count"]) * D(commitment["recurring"])
            weights = RATIO
            reached = sorted((row for row in reached if row[2] in RATIO), key=lambda row: (RATIO[row[2]], row[1]))
        else:
            full = fee = D(commitment["amount"])
            weights = {size: min(rate, OWN[size]) for size, rate in PLAN[attributes["years"]].items()}
            reached = sorted(reached, key=lambda row: (weights[row[2]] / LIST[row[2]], weights[row[2]], row[0], row[1]))
        left = full
        for row in reached:
            part = min(row[3], left / weights[row[2]])
            left -= part * weights[row[2]]
            row[3] -= part
            covered[row[2]] = covered.get(row[2], 0) + part
        unused[name] = unused.get(name, 0) + left
        used[name] = used.get(name, 0) + fee * (full - left) / full
        fees[owner] += fee
    for account, _, size, quantity, _ in rows:
        left_over[size] = left_over.get(size, 0) + quantity
        cost[account] += quantity * OWN[size]

off = sum(cost.values()) * 4 / 100
due = sum(cost.values()) - off + sum(fees.values())
print("by_kind usage", sum(cost.values()))
print("by_kind discount", -off)
print("by_kind commitment", sum(fees.values()))
print("by_kind fee 5000")
print("by_kind credit", -min(due, D(5000)))
for size in OWN:
    print(f"quantity {size}.covered", covered[size])
    print(f"quantity {size}.usage", left_over[size])
for name in unused:
    print("unused", name, unused[name])
    print("effective", name, used[name])
print("total", 5000 + due - min(due, D(5000)))
