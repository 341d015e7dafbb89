"""Bills of many lines: 300,000 accounts with 100 SKUs each, tiers, plans and overrides, beside the same in DuckDB.

30 million events, one for each account and SKU, come from segments; DuckDB has them as Parquet.  Both find
duplicates, sum by account and SKU, rate, and write all of it: DuckDB a row of account, SKU, quantity and amount as CSV,
Farthing its full bills, with a line for each tier.  The quantities are of the formula in billgen.sql, which lies with the generator,
but smaller, so that most usage stays in few tiers and the disk holds it.
"""
import csv
import decimal
import json
import os
import shutil

SKUS_EACH = 100
PLAN_SHARE, PLAN_RATE = 3, 9  # three accounts of ten have a plan, at nine tenths of the price
OPEN_TIER = "100000000000000"
BYTES_A_ROW = 700  # of output, of both
EXACT = decimal.Context(prec=80, traps=[decimal.Inexact, decimal.InvalidOperation])
QUANTITY = "(a*7919+j*104729)%1000003*1000000007%50000000000"  # billionths


def plan_rate(price):
    """Nine tenths of a price, cut to its ten digits."""
    return EXACT.divide(decimal.Decimal(int(price.replace(".", "")) * PLAN_RATE // 10), decimal.Decimal(10**10))


def text(number):
    return f"{number.normalize(EXACT):f}"


def read_book(book):
    """Rows of tiers of the prices, and of the plan: (sku, tier, lower, upper, price)."""
    with open(book / "prices.csv", newline="") as file:
        prices = [list(row.values()) for row in csv.DictReader(file)]
    return prices, [[*row[:4], f"{plan_rate(row[4]):.10f}"] for row in prices]


def tiers_of(rows, tenths):
    of = {}
    for sku, _, _, upper, price in rows:
        bound = "" if upper == OPEN_TIER else f"up_to: {upper}, "
        rate = text(EXACT.multiply(decimal.Decimal(price), tenths))
        of.setdefault(sku, []).append(f"{{{bound}rate: {rate}}}")
    return {sku: f"steps: [tier: {{scope: account, tiers: [{', '.join(tiers)}]}}]" for sku, tiers in of.items()}


def write_catalog(book, overrides, count, folder, tenths):
    """The catalog, accounts, overrides for Farthing, and the plan for DuckDB; the accounts."""
    prices, plan = read_book(book)
    catalog = folder / "catalog"
    catalog.mkdir(parents=True)
    public, own = tiers_of(prices, tenths), tiers_of(plan, tenths)
    with open(catalog / "lines.yaml", "w") as out:
        out.write("catalog: lines\ncurrency: USD   # its tenths; see bench.py\n")
        out.write("csv:\n  columns: {id: id, subject: subject, time: time, quantity: data.quantity, sku: data.sku}\n")
        out.write("  constants: {source: bench, type: usage}\n")
        out.write("meters:\n  usage: {value: number(data.quantity), sku: data.sku, grain: month}\n")
        products = {}
        for sku in public:
            products.setdefault(sku.split(".")[0], []).append(sku)
        out.write("products:\n")
        for product, skus in sorted(products.items()):
            out.write(f"  {product}:\n    skus:\n" + "".join(f"      {sku}:\n" for sku in skus))
    with open(catalog / "prices.yaml", "w") as out:
        out.write("prices:\n" + "".join(f"  - sku: {sku}\n    {steps}\n" for sku, steps in public.items()))
    with open(catalog / "plans.yaml", "w") as out:
        out.write("plans:\n  volume:\n    prices:\n")
        out.writelines(f"      - {{sku: {sku}, {steps}}}\n" for sku, steps in own.items())
    with open(folder / "plan.csv", "w") as out:
        out.write("sku,tier,lower,upper,price\n" + "".join(",".join(row) + "\n" for row in plan))
    with open(book / "accounts.csv", newline="") as file:
        accounts = [row["account"] for _, row in zip(range(count), csv.DictReader(file))]
    with open(folder / "accounts.csv", "w") as out:
        out.write("id,plan\n")
        out.writelines(f"{a},{'volume' if i % 10 < PLAN_SHARE else ''}\n" for i, a in enumerate(accounts))
    known = set(accounts)
    with open(overrides) as given, open(folder / "overrides.csv", "w") as out:
        out.write(next(given))
        out.writelines(line for line in given if line.split(",", 1)[0] in known)
    (folder / "none.ndjson").touch()
    return accounts, list(public)


def write_events(accounts, skus, stream):
    """One event for each account and SKU, as CSV."""
    stream.write(b"id,subject,time,quantity,sku\n")
    for a, account in enumerate(accounts):
        when, lines = f"2026-10-{a % 31 + 1:02d}T{a // 31 % 24:02d}:30:00Z", []
        for j in range(SKUS_EACH):
            units, parts = divmod((a * 7919 + j * 104729) % 1000003 * 1000000007 % 50000000000, 10**9)
            lines.append(f"{a}-{j},{account},{when},{units}.{parts:09d},{skus[(a * 7 + j * 5) % len(skus)]}\n")
        stream.write("".join(lines).encode())


def make_input(options, pipe, book, overrides, count, folder, tenths):
    """Catalog and segments; once."""
    if folder.exists():
        return
    scratch = folder.with_name(folder.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)
    accounts, skus = write_catalog(book, overrides, count, scratch, tenths)
    pipe([options.farthing, "import", "--catalog", scratch / "catalog", "--format", "csv", "--events", "-", "--quiet",
          "--out", scratch / "segments"], lambda stream: write_events(accounts, skus, stream))
    scratch.rename(folder)


TIERS = "columns={sku:'VARCHAR',tier:'INT',lower:'DECIMAL(24,9)',upper:'DECIMAL(24,9)',price:'DECIMAL(14,10)'}"
# What a tier begins with, as in billgen.sql.
BEGINS = """SELECT *,coalesce(sum((upper-lower)*price) OVER (PARTITION BY {keys} ORDER BY tier
    ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),0)::DECIMAL(38,19) cum FROM"""


def duckdb_input(book, folder, count):
    return [
        f"CREATE TABLE s AS SELECT sku,row_number() OVER ()-1 AS s FROM read_csv('{book}/prices.csv',header=true,"
        f"{TIERS}) WHERE tier=0",
        f"CREATE TABLE a AS SELECT account,row_number() OVER ()-1 AS a FROM read_csv('{book}/accounts.csv',header=true,"
        f"columns={{account:'VARCHAR',org:'VARCHAR'}}) LIMIT {count}",
        f"COPY (SELECT a||'-'||j AS id,account,sku,(({QUANTITY})::DECIMAL(15,0)*0.000000001::DECIMAL(9,9))::DECIMAL(24,9)"
        f" AS q FROM a,range({SKUS_EACH}) r(j),s WHERE s=(a*7+j*5)%500) TO '{folder}/events.parquet'"
        " (FORMAT parquet, COMPRESSION zstd)",
    ]


def duckdb_bill(book, folder, threads, out):
    """(label, statement): load, read, rate, write, and then what is compared."""
    on = "t ON t.sku=u.sku AND u.q>t.lower AND u.q<=t.upper"
    pick = "SELECT u.account,u.sku,u.q,t.cum+(u.q-t.lower)::DECIMAL(24,9)*t.price AS amt FROM k u JOIN"
    return [
        ("load", f"SET threads={threads}"),
        ("load", "SET memory_limit='14GB'"),
        ("load", "SET temp_directory='ducktmp'"),
        ("load", "SET preserve_insertion_order=false"),
        ("load", f"CREATE TABLE prices AS {BEGINS.format(keys='sku')} read_csv('{book}/prices.csv',header=true,{TIERS})"),
        ("load", f"CREATE TABLE plan AS {BEGINS.format(keys='sku')} read_csv('{folder}/plan.csv',header=true,{TIERS})"),
        ("load", f"CREATE TABLE overrides AS {BEGINS.format(keys='account,sku')} read_csv('{book}/overrides.csv',"
                 "header=true,columns={account:'VARCHAR',sku:'VARCHAR',tier:'INT',lower:'DECIMAL(24,9)',"
                 "upper:'DECIMAL(24,9)',price:'DECIMAL(14,10)'})"),
        ("load", f"CREATE TABLE accounts AS SELECT * FROM read_csv('{folder}/accounts.csv',header=true,"
                 "columns={account:'VARCHAR',plan:'VARCHAR'})"),
        ("read", "CREATE TEMP TABLE usage AS SELECT account,sku,sum(q)::DECIMAL(24,9) q FROM (SELECT id,any_value(account)"
                 f" account,any_value(sku) sku,any_value(q) q FROM read_parquet('{folder}/events.parquet') GROUP BY id)"
                 " GROUP BY ALL"),
        ("rate", "CREATE TEMP TABLE lines AS WITH k AS (SELECT m.account,m.sku,m.q,o.account IS NOT NULL AS own,"
                 "a.plan IS NOT NULL AS planned FROM usage m JOIN accounts a USING(account) LEFT JOIN"
                 " (SELECT DISTINCT account,sku FROM overrides) o ON o.account=m.account AND o.sku=m.sku) "
                 f"{pick} prices {on} AND NOT u.own AND NOT u.planned UNION ALL "
                 f"{pick} plan {on} AND NOT u.own AND u.planned UNION ALL "
                 f"{pick} overrides {on} AND t.account=u.account AND u.own"),
        ("write", f"COPY lines TO '{out}/lines.csv' (HEADER false)"),
        ("check", "SELECT count(*),sum(amt) FROM lines"),
        ("check", f"COPY (SELECT account,sum(amt) FROM lines GROUP BY account) TO '{out}/totals.csv' (HEADER false)"),
    ]


def bill_totals(out, tenth):
    """What each payer is billed, exactly."""
    with open(out / "bills.ndjson") as file:
        bills = (json.loads(line) for line in file)
        return {bill["payer"]: EXACT.multiply(decimal.Decimal(bill["exact"]), tenth) for bill in bills}


def measure(options, pipe, bill, duck, book, overrides, tenths, say):
    count = int(os.environ.get("LINES_ACCOUNTS", 10_000 if options.quick else 300_000))
    free = shutil.disk_usage(options.folder).free
    while count * SKUS_EACH * BYTES_A_ROW > free * 0.8:
        count //= 2
        say(f"  the disk has room for {free >> 30} GB: {count:,} accounts instead")
    folder = options.folder / f"lines{count}"
    make_input(options, pipe, book, overrides, count, folder, tenths)
    out = options.folder / "lines_out"
    shutil.rmtree(out, ignore_errors=True)
    run = bill(options, folder, folder / "segments", out, options.threads)
    found, seconds, cpu = run.summary, run.summary["seconds"], run.summary["cpu_seconds"]
    totals = bill_totals(out, decimal.Decimal(1).scaleb(-1))
    size = sum(path.stat().st_size for path in out.iterdir())
    shutil.rmtree(out)
    result = {
        "accounts": count, "usage_rows": found["usage_rows"], "lines": found["bill_lines"], "bytes_written": size,
        "bill_wall_s": round(seconds["bill"], 3), "bill_cpu_s": round(cpu["bill"], 3),
        "net_cpu_s": round(cpu["read"] + cpu["accept"] + cpu["bill"], 3), "cpu_s": round(run.cpu_s, 3),
        "wall_s": round(run.wall_s, 3), "peak_mb": round(run.rss_mb),
        "lines_per_second": round(found["bill_lines"] / seconds["bill"]),
        "lines_per_cpu_second": round(found["bill_lines"] / cpu["bill"]),
    }
    say(
        f"  Farthing: {result['lines']:,} lines of {result['usage_rows']:,} rows, {size / 1e9:.1f} GB; billed in"
        f" {seconds['bill']:.2f} s, {cpu['bill']:.2f} s CPU: {result['lines_per_second']:,} lines a second; whole"
        f" {run.cpu_s:.2f} s CPU, {run.rss_mb:.0f} MB"
    )
    if not duck:
        return result, True
    scratch = duck.clean()
    if not (folder / "events.parquet").exists():
        duck.query(duckdb_input(book, folder, count))
    labels, statements = zip(*duckdb_bill(book, folder, options.threads, scratch))
    process, answers = duck.query(statements)
    of = {}
    for label, answer in zip(labels, answers):
        of[label] = of.get(label, 0) + float(answer[0])
    rows, total = answers[-2][2:]
    with open(scratch / "totals.csv", newline="") as file:
        theirs = {account: decimal.Decimal(amount) for account, amount in csv.reader(file)}
    duck.clean()
    theirs = {account: amount for account, amount in theirs.items() if amount}
    same = theirs == {account: amount for account, amount in totals.items() if amount}
    lines_cpu, whole_cpu = of["rate"] + of["write"], of["read"] + of["rate"] + of["write"]
    result["duckdb"] = {
        "rows": int(rows), "read_cpu_s": round(of["read"], 3), "rate_cpu_s": round(of["rate"], 3),
        "write_cpu_s": round(of["write"], 3), "peak_mb": round(process.rss_mb), "total": total,
    }
    result["cpu_ratio_duckdb"] = round(lines_cpu / result["bill_cpu_s"], 2)
    result["cpu_ratio_duckdb_whole"] = round(whole_cpu / result["net_cpu_s"], 2)
    result["equal_to_the_last_digit"] = same
    say(
        f"  DuckDB: {int(rows):,} rows; read {of['read']:.2f} s CPU, rated {of['rate']:.2f}, written {of['write']:.2f},"
        f" {process.rss_mb:.0f} MB"
    )
    say(
        f"  amounts of {len(theirs):,} accounts are {'equal' if same else 'DIFFERENT'} to the last digit; times DuckDB's"
        f" CPU seconds: {result['cpu_ratio_duckdb']} from rows to bills (15 are wanted),"
        f" {result['cpu_ratio_duckdb_whole']} from events to bills\n"
    )
    return result, same
