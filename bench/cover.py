"""What spans accounts and hours: an organization whose reservations and plans cover five million rows of usage.

10,000 accounts, 744 hours, 1,000 commitments: zonal and regional reservations (the latter by size), and savings plans.
Billed at three sizes of usage, so that one sees that a row costs the same in each."""
import json
import random
import shutil

HOURS, ACCOUNTS, COMMITMENTS = 744, 10_000, 1_000
SIZES = (("large", 4), ("xlarge", 8), ("2xlarge", 16), ("4xlarge", 32))
FAMILIES, REGIONS = ("c", "m", "r"), ("eu-west", "us-east")
ROWS = (1_250_000, 2_500_000, 5_000_000)
TARGET_S, TARGET_MB = 30, 4096


def commitments(chance):
    for number in range(COMMITMENTS):
        record = {"id": f"c-{number:04d}", "account": f"a-{chance.randrange(ACCOUNTS):05d}"}
        family, region = chance.choice(FAMILIES), chance.choice(REGIONS)
        size, factor = chance.choice(SIZES)
        kind = chance.choice(("zonal", "regional", "regional", "plan"))
        if kind == "zonal":
            zone = region + chance.choice("ab")
            record |= {"offering": kind, "size": f"{family}.{size}", "zone": zone, "count": chance.randint(1, 4),
                       "recurring": f"{factor * 0.006:.3f}"}
        elif kind == "regional":
            record |= {"offering": kind, "family": family, "region": region, "factor": factor,
                       "count": chance.randint(1, 4), "recurring": f"{factor * 0.007:.3f}"}
        else:
            record |= {"offering": kind, "amount": f"{chance.randint(50, 500) / 1000:.3f}"}
        yield record


def write_catalog(folder):
    chance = random.Random(2026)
    skus = {f"{family}.{size}": {"attributes": {"family": family, "factor": factor}}
            for family in FAMILIES for size, factor in SIZES}
    rates = [[sku, f"{about['attributes']['factor'] * 0.0123:.4f}"] for sku, about in skus.items()]
    plans = [[sku, f"{about['attributes']['factor'] * 0.0089 + 0.001 * number:.4f}"]
             for number, (sku, about) in enumerate(skus.items())]
    passes = [{"offering": offering, "for": whose, "order": ["attributes.factor", "resource"]}
              for offering in ("zonal", "regional") for whose in ("own", "shared")]
    catalog = {
        "catalog": "cloud", "currency": "USD",
        "csv": {"columns": {"id": "id", "subject": "subject", "time": "time", "sku": "data.sku", "vm": "data.vm",
                            "region": "data.region", "zone": "data.zone"},
                "constants": {"source": "bench", "type": "vm"}},
        "products": {"vm": {"skus": skus}},
        "meters": {"vm": {"aggregate": "count", "sku": "data.sku", "resource": "data.vm",
                          "dimensions": {"region": "data.region", "zone": "data.zone"}}},
        "tables": {"list": {"keys": ["sku"], "rows": rates}, "plan": {"keys": ["sku"], "rows": plans}},
        "commitments": {
            "zonal": {"capacity": "commitment.count", "eligible": "sku == commitment.size && zone == commitment.zone"},
            "regional": {"capacity": "commitment.count * commitment.factor", "weight": "attributes.factor",
                         "eligible": "attributes.family == commitment.family && region == commitment.region"},
            "plan": {"unit": "amount", "capacity": "commitment.amount", "recurring": "commitment.amount",
                     "rate": 'lookup("plan", sku)'},
        },
        "steps": {"reservations": {"cover": {"passes": passes}},
                  "plans": {"cover": {"passes": [{"offering": "plan", "for": "own"},
                                                 {"offering": "plan", "for": "shared"}]}}},
        "prices": [{"sku": list(skus), "steps": [{"use": "reservations"}, {"use": "plans"},
                                                 {"rate": {"table": "list"}}]}],
        "contracts": [{"buyer": "org", "commitments": list(commitments(chance))}],
    }
    (folder / "catalog.json").write_text(json.dumps(catalog, indent=1))
    with open(folder / "accounts.csv", "w") as out:
        out.write("id,organization\norg,\n")
        out.writelines(f"a-{a:05d},org\n" for a in range(ACCOUNTS))
    return list(skus)


def write_usage(path, skus, rows):
    """Machines that run every hour of the month, each in one account."""
    chance = random.Random(rows)
    machines = []
    for number in range(rows // HOURS):
        region = chance.choice(REGIONS)
        machines.append((f"a-{chance.randrange(ACCOUNTS):05d}",
                         f"{chance.choice(skus)},vm-{number:05d},{region},{region}{chance.choice('ab')}\n"))
    with open(path, "w") as out:
        out.write("id,subject,time,sku,vm,region,zone\n")
        for hour in range(HOURS):
            time = f"2026-10-{hour // 24 + 1:02d}T{hour % 24:02d}:00:00Z"
            out.writelines(f"{hour}-{number},{account},{time},{rest}"
                           for number, (account, rest) in enumerate(machines))
    return len(machines) * HOURS


def measure(options, run_command, say):
    folder = options.folder / "cover"
    folder.mkdir(exist_ok=True)
    skus = write_catalog(folder)
    result = {"accounts": ACCOUNTS, "commitments": COMMITMENTS, "hours": HOURS, "target_s": TARGET_S,
              "target_mb": TARGET_MB, "sizes": []}
    for rows in (ROWS[:1] if options.quick else ROWS):
        usage = folder / f"usage{rows}.csv"
        if not usage.exists():
            write_usage(folder / "usage.new", skus, rows)
            (folder / "usage.new").rename(usage)
        out = folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        run = run_command([options.farthing, "bill", "--catalog", folder / "catalog.json", "--accounts",
                           folder / "accounts.csv", "--events", usage, "--period", "2026-10", "--opening", "none",
                           "--out", out, "--threads", str(options.threads), "--memory", "4GiB", "--json"])
        summary = json.loads(run.out)
        count = summary["usage_rows"]
        result["sizes"].append({"rows": count, "cpu_s": round(run.cpu_s, 2), "wall_s": round(run.wall_s, 2),
                                "us_a_row": round(run.cpu_s / count * 1e6, 2), "peak_mb": round(run.rss_mb),
                                "lines": summary["bill_lines"], "total": summary["total"]})
        say(f"  {count:,} rows of {ACCOUNTS:,} accounts, {COMMITMENTS:,} commitments: {run.cpu_s:.2f} s CPU, "
            f"{run.wall_s:.2f} s (target {TARGET_S} s), {run.cpu_s / count * 1e6:.2f} us a row, peak {run.rss_mb:.0f} MB "
            f"(target {TARGET_MB}); {summary['bill_lines']:,} lines, {summary['total']} {summary['currency']}")
    shutil.rmtree(folder / "out", ignore_errors=True)
    return result
