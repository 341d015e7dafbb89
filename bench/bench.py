"""make bench: the speed of `farthing bill` beside DuckDB and ClickHouse on the same file, and its size.

Input and the peers' queries are not ours: a generator and SQL that lie beside this repository.  They are
compiled and read where they lie; where they are not, these parts are skipped, visibly.  What is
ours is the harness: the price book as a catalog, the runs in turns, and the comparison of every account's
amount, digit for digit, with what the peers compute (but for DuckDB from NDJSON, which reads numbers
through a double).

CPU seconds (user and system of the whole process) are the figure to compare: a busy machine
stretches the wall clock.  The price book is loaded by all; that part is told apart, in the peers by
statement, in Farthing by a run without events.  Warm is the second run in one process, cold a
process from the shell.
"""
import argparse
import csv
import decimal
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import types

import cover
import lines
import scale
import shapes
import truth

HERE = pathlib.Path(__file__).resolve().parent
GIVEN = HERE.parent.parent / "shared" / "bench"
PERIOD = "2026-10"
DUCKDB_LIBRARY = (
    "@duckdb/node-bindings-linux-x64@1.5.6-r.1",
    "sha512-IXcrZJE6kEqM0Z4wwdVnGBHX/frOS33VPNAwDXQ/Q+Fs84b058Qe94chrCCIcNJlG8Y3UHIUU4eBeCQxW5mN1Q==",
)
CHDB_LIBRARY = (
    "@chdb/lib-linux-x64-gnu@26.5.3",
    "sha512-fPrLmRt5Moor9yGz4mazbrNje4t7X9KB2mTGkXFWRxRBs2iKy8yh6jx11xsa0Qr3iDFMU/yHqd+bVdYJXu3QaQ==",
)
DUCKDB_HEADER = (
    "duckdb@1.4.4",
    "sha512-hEJJ5hyVF0VLj3dmOLpsWrQR0b3d4Ykqtygm6iUXjHJDDnSqg/USKxcb5qvNrOhFYPgktayU6dXCtgPqcmmpog==",
)
# The price book's amounts have 19 digits after the point, Farthing's curves 18: the bench bills in
# tenths of the currency, so that nothing is rounded and the digits can be compared.
TENTHS = 10
PARTS = ["truth", "ndjson", "csv", "segments", "memory", "lines", "scale", "size", "cover", "expr", "shapes"]
OWN_PARTS = {"cover", "expr", "shapes"}  # whose input is made here
EXPRESSION_MAX_NS = 15
# Times a peer's events a CPU second, without loading the price book.
REQUIRED = {
    ("ndjson", "warm", "DuckDB"): 10, ("ndjson", "warm", "ClickHouse"): 17, ("ndjson", "cold", "DuckDB"): 5,
    ("csv", "warm", "DuckDB"): 12, ("csv", "warm", "ClickHouse"): 20, ("segments", "warm", "DuckDB"): 20,
}
OPEN_TIER = "100000000000000"
EXACT = decimal.Context(prec=80, traps=[decimal.Inexact, decimal.InvalidOperation])


def say(text=""):
    print(text, flush=True)


# ---- running ------------------------------------------------------------------------------------


class Run:
    """A process that has ended: its CPU seconds, wall seconds, peak of memory, output."""

    def __init__(self, arguments, stdin=b"", folder=None):
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as told:
            given.write(stdin)
            given.seek(0)
            launcher = [sys.executable, "-S", str(HERE / "launch.py"), str(told.fileno())]
            subprocess.run(
                launcher + [str(a) for a in arguments], stdin=given, stdout=out, cwd=folder, pass_fds=[told.fileno()], check=True
            )
            out.seek(0)
            self.out = out.read().decode()
            told.seek(0)
            took = json.load(told)
        self.code, self.wall_s = took["code"], took["wall_s"]
        self.user_s = took["user_s"]
        self.cpu_s = took["user_s"] + took["system_s"]
        self.rss_mb = took["rss_kib"] / 1024
        if self.code != 0:
            sys.exit(f"bench: exit code {self.code}: {' '.join(map(str, arguments))}")


def pipe(arguments, write):
    """A process whose input write(stream) makes."""
    process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    write(process.stdin)
    process.stdin.close()
    if process.wait() != 0:
        sys.exit(f"bench: exit code {process.returncode}: {' '.join(map(str, arguments))}")


# ---- what is fetched and made, once ----------------------------------------------------------------


def fetch(package, folder, member):
    """One file of an npm package, with the hash of the archive checked."""
    name, integrity = package
    target = folder / pathlib.PurePath(member).name
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        found = subprocess.run(
            ["npm", "pack", "--silent", "--json", name],
            cwd=scratch, check=True, capture_output=True, text=True,
        )
        packed = json.loads(found.stdout)[0]
        if packed["integrity"] != integrity:
            sys.exit(f"bench: {name} is not what it was: {packed['integrity']}")
        archive = next(pathlib.Path(scratch).glob("*.tgz"))
        subprocess.run(["tar", "-xzf", archive, "-C", scratch, member], check=True)
        os.replace(pathlib.Path(scratch) / member, target)
    return target


def compile_c(source, target, *options):
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-O3", "-w", "-o", target, source, *options], check=True)
    return target


def make_input(folder, events):
    """Events and price book of the given generator."""
    generator = compile_c(
        GIVEN / "gen.c", folder / "gen", "-march=native", "-ffp-contract=off", "-lm"
    )
    book = folder / "pb"
    data = folder / f"d{events // 1_000_000}"
    for place, count in ((book, 0), (data, events)):
        if not place.exists():
            say(f"generating {place.name} ...")
            scratch = place.with_name(place.name + ".new")
            shutil.rmtree(scratch, ignore_errors=True)
            scratch.mkdir()
            subprocess.run([generator, str(count), scratch], check=True)
            scratch.rename(place)
    return book, data


# ---- the price book as a catalog ---------------------------------------------------------------------


def read_tiers(path, keys):
    """{key: [(up_to, rate)]}; up_to is '' in the open tier."""
    tiers = {}
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            rate = EXACT.multiply(decimal.Decimal(row["price"]), TENTHS)
            up_to = "" if row["upper"] == OPEN_TIER else row["upper"]
            key = tuple(row[k] for k in keys)
            tiers.setdefault(key, []).append((up_to, f"{rate.normalize(EXACT):f}"))
    return tiers


def read_types(data):
    """The types of events; the first 100,000 lines have all of them."""
    types = set()
    with open(data / "ev.csv", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            types.add(row["type"])
            if number == 100_000:
                break
    return sorted(types)


def write_catalog(book, data, folder):
    """Catalog, accounts and overrides in Farthing's formats."""
    catalog = folder / "catalog"
    shutil.rmtree(catalog, ignore_errors=True)
    catalog.mkdir(parents=True)
    tiers = read_tiers(book / "prices.csv", ["sku"])
    with open(catalog / "bench.yaml", "w") as out:
        out.write("catalog: bench\ncurrency: USD   # its tenths; see bench.py\n")
        out.write("csv:\n  columns: {id: id, source: source, type: type, subject: subject, ")
        out.write("time: time, quantity: data.quantity, region: data.region, sku: data.sku}\n")
        out.write("meters:\n")
        for name in read_types(data):
            out.write(f"  {name}: {{value: number(data.quantity), sku: data.sku, grain: month}}\n")
        products = {}
        for (sku,) in tiers:
            products.setdefault(sku.split(".")[0], []).append(sku)
        out.write("products:\n")
        for product, skus in sorted(products.items()):
            out.write(f"  {product}:\n    skus:\n")
            out.writelines(f"      {sku}:\n" for sku in skus)
    with open(catalog / "prices.yaml", "w") as out:
        out.write("prices:\n")
        for (sku,), steps in tiers.items():
            of_sku = ", ".join(
                (f"{{up_to: {up_to}, rate: {rate}}}" if up_to else f"{{rate: {rate}}}")
                for up_to, rate in steps
            )
            out.write(f"  - sku: {sku}\n    steps: [tier: {{scope: organization, ")
            out.write(f"tiers: [{of_sku}]}}]\n")
    with open(book / "accounts.csv") as given, open(folder / "accounts.csv", "w") as out:
        next(given)
        out.write("id,organization\n")
        shutil.copyfileobj(given, out)
    with open(folder / "overrides.csv", "w") as out:
        out.write("account,sku,up_to,rate\n")
        for (account, sku), steps in read_tiers(
            book / "overrides.csv", ["account", "sku"]
        ).items():
            out.writelines(f"{account},{sku},{up_to},{rate}\n" for up_to, rate in steps)
    open(folder / "none.ndjson", "w").close()
    return folder


# ---- the peers ----------------------------------------------------------------------------------------

SOURCES = {
    "DuckDB": {
        "ndjson": """SELECT source, id, subject AS account, data.sku AS sku,
        (date_part('day', time) * 24 + date_part('hour', time) - 24)::SMALLINT AS h,
        data.quantity::DECIMAL(18,9) AS q
        FROM read_json('{data}/ev.ndjson', format = 'newline_delimited', columns =
            {{id: 'VARCHAR', source: 'VARCHAR', subject: 'VARCHAR', time: 'TIMESTAMP',
              data: 'STRUCT(quantity VARCHAR, sku VARCHAR)'}})""",
        "csv": """SELECT source, id, subject AS account, sku,
        (date_part('day', time) * 24 + date_part('hour', time) - 24)::SMALLINT AS h, quantity AS q
        FROM read_csv('{data}/ev.csv', header = true, columns =
            {{id: 'VARCHAR', source: 'VARCHAR', type: 'VARCHAR', subject: 'VARCHAR',
              time: 'TIMESTAMP', quantity: 'DECIMAL(18,9)', region: 'VARCHAR', sku: 'VARCHAR'}})""",
        # What is read again as we read segments: their own best form, of given/mkparquet.sql.
        "segments": """SELECT source, id, subject AS account, sku,
        (date_part('day', time) * 24 + date_part('hour', time) - 24)::SMALLINT AS h, quantity AS q
        FROM read_parquet('{data}/ev.parquet')""",
    },
    "ClickHouse": {
        "ndjson": """WITH parseDateTime64BestEffort(time, 3, 'UTC') AS t
        SELECT source, id, subject AS account, data.3 AS sku,
        toInt16((toDayOfMonth(t, 'UTC') - 1) * 24 + toHour(t, 'UTC')) AS h, data.1 AS q
        FROM file('{data}/ev.ndjson', 'JSONEachRow', 'id String, source String, subject String, time String,
            data Tuple(quantity Decimal(18,9), region String, sku String)')""",
        "csv": """WITH parseDateTime64BestEffort(time, 3, 'UTC') AS t
        SELECT source, id, subject AS account, sku,
        toInt16((toDayOfMonth(t, 'UTC') - 1) * 24 + toHour(t, 'UTC')) AS h, quantity AS q
        FROM file('{data}/ev.csv', 'CSVWithNames', 'id String, source String, type String, subject String,
            time String, quantity Decimal(18,9), region String, sku String')""",
        "segments": """WITH time AS t
        SELECT source, id, subject AS account, sku,
        toInt16((toDayOfMonth(t, 'UTC') - 1) * 24 + toHour(t, 'UTC')) AS h, quantity AS q
        FROM file('{data}/ev.parquet', 'Parquet', 'id String, source String, subject String,
            time DateTime64(6, \\'UTC\\'), quantity Decimal(18,9), sku String')""",
    },
}


class Peer:
    """Another engine's library, and the program that runs statements on it."""

    def __init__(self, name, engine, package, member, queries, folder):
        self.name, self.engine, self.queries = name, engine, queries
        self.library = fetch(package, folder, member)
        fetch(DUCKDB_HEADER, folder, "package/src/duckdb/src/include/duckdb.h")
        self.program = compile_c(HERE / "peer.c", folder / "peer", f"-I{folder}", "-D_GNU_SOURCE", "-ldl")
        self.scratch = folder / f"{engine}_scratch"

    def statements(self, form, book, data, threads, out):
        """The given queries, and the label of each; '' has none."""
        values = {"PB": book, "OUT": out, "SRC": SOURCES[self.name][form].format(data=data)}
        text = (GIVEN / self.queries).read_text()
        text = re.sub(r"\$(PB|OUT|SRC)\b", lambda found: str(values[found[1]]), text)
        text = re.sub(r"SET (max_)?threads *= *\d+", lambda found: f"SET {found[1] or ''}threads = {threads}", text)
        labels, statements = [], []
        for piece in re.split(r";\s*\n", text):
            label = re.search(r"^--: *(.*)$", piece, re.M)
            piece = re.sub(r"^--.*$", "", piece, flags=re.M).strip()
            if piece:
                labels.append(label[1] if label else "")
                statements.append(piece)
        return labels, statements

    def bill(self, form, book, data, threads, times):
        """The given queries, times times in one process: a run for each; the last one's totals are kept."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        out = self.scratch / f"totals_{form}.csv"
        labels, statements = self.statements(form, book, data, threads, out)
        once = b"".join(s.encode() + b"\0" for s in statements)
        process = Run([self.program, self.engine, self.library], b"\0".join([once] * times), self.scratch)
        lines = [line.split("\t") for line in process.out.splitlines() if line]
        runs = []
        for turn in range(times):
            of_run = lines[turn * len(statements):][:len(statements)]
            run = types.SimpleNamespace(rss_mb=process.rss_mb, totals=out)
            run.cpu_s, run.wall_s = (sum(float(line[i]) for line in of_run) for i in (0, 1))
            # Statements behind one that loads and without a label load too.
            is_load, run.load_cpu_s = False, 0
            for label, line in zip(labels, of_run):
                is_load = label.startswith("load") or (is_load and not label)
                run.load_cpu_s += float(line[0]) if is_load else 0
            run.parts = {label: float(line[0]) for label, line in zip(labels, of_run) if label}
            check = of_run[labels.index("check")][2:]
            run.check = dict(zip(("hourly", "monthly", "quantity", "accounts", "lines", "total"), check))
            runs.append(run)
        runs[0].cpu_s += process.cpu_s - sum(run.cpu_s for run in runs)  # to begin and end
        return runs

    def clean(self):
        """An empty folder for its files."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        return self.scratch

    def query(self, statements):
        """The process, and of each statement its CPU seconds, wall seconds and first row."""
        self.scratch.mkdir(exist_ok=True)
        given = b"".join(statement.encode() + b"\0" for statement in statements)
        process = Run([self.program, self.engine, self.library], given, self.scratch)
        return process, [line.split("\t") for line in process.out.splitlines() if line]

    def copy_command(self, events, target):
        """A command that stores events that come as CSV as Parquet."""
        text = (GIVEN / "mkparquet.sql").read_text()
        text = text.replace("$D/ev.csv", str(events)).replace("$D/ev.parquet", str(target))
        pieces = [re.sub(r"^--.*$", "", piece, flags=re.M).strip().rstrip(";") for piece in re.split(r";\s*\n", text)]
        given = target.with_name("copy.sql")
        given.write_bytes(b"".join(piece.encode() + b"\0" for piece in pieces if piece))
        return ["sh", "-c", '"$0" "$1" "$2" < "$3"', self.program, self.engine, self.library, given]

    def version(self):
        run = Run([self.program, self.engine, self.library], b"SELECT version()\0")
        return run.out.split("\t")[2].strip()


PEERS = {
    "DuckDB": ("duckdb", DUCKDB_LIBRARY, "package/libduckdb.so", "duck_one.sql"),
    "ClickHouse": ("chdb", CHDB_LIBRARY, "package/libchdb.so", "ch_one.sql"),
}


def make_peer(name, folder):
    """A peer, or nothing where it cannot be fetched: then only that comparison is left out."""
    try:
        return Peer(name, *PEERS[name], folder)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"SKIPPED: {name} cannot be fetched or built ({error}); it is needed once, then kept in {folder}")
        return None


def peer_totals(path):
    """An account and its total a row; ClickHouse quotes the account."""
    with open(path, newline="") as file:
        rows = csv.reader(file)
        return {account: decimal.Decimal(total) for account, total in rows}


# ---- Farthing ----------------------------------------------------------------------------------------


def farthing_bill(options, book, events, out, threads, memory=None):
    shutil.rmtree(out, ignore_errors=True)
    arguments = [
        options.farthing, "bill", "--catalog", book / "catalog",
        "--accounts", book / "accounts.csv", "--events", events, "--period", PERIOD,
        "--out", out, "--threads", threads, "--memory", memory or options.memory,
        "--tmp", options.folder, "--json",
    ]
    if (book / "overrides.csv").exists():
        arguments += ["--accounts", book / "overrides.csv"]
    run = Run(arguments)
    run.summary = json.loads(run.out)
    return run


def farthing_totals(out):
    """Exact amounts by account from the lines, in the price book's currency.

    A line of quantity zero, where all that was used is zero, is none of DuckDB's.
    """
    totals = {}
    count = 0
    with open(out / "lines.csv", newline="") as file:
        rows = csv.reader(file)
        columns = next(rows)
        account, exact, quantity, kind = map(columns.index, ("account", "exact", "quantity", "kind"))
        for row in rows:
            if row[kind] == "usage" and row[quantity] != "0":
                count += 1
                before = totals.get(row[account])
                value = decimal.Decimal(row[exact])
                totals[row[account]] = EXACT.add(before, value) if before else value
    tenth = decimal.Decimal(1).scaleb(-1)
    return {a: EXACT.multiply(v, tenth) for a, v in totals.items()}, count


def bill_exact(out):
    """The sum of the bills' own exact totals, and their number."""
    total, count = decimal.Decimal(0), 0
    with open(out / "bills.ndjson") as file:
        for line in file:
            bill = json.loads(line)
            total = EXACT.add(total, decimal.Decimal(bill["exact"]))
            count += 1
    return EXACT.multiply(total, decimal.Decimal(1).scaleb(-1)), count


# ---- side by side -----------------------------------------------------------------------------------


def median_row(runs, events):
    """Of several runs: the median of each figure."""
    middle = lambda of: statistics.median(of(run) for run in runs)
    cpu = middle(lambda r: r.cpu_s)
    net = middle(lambda r: r.cpu_s - r.load_cpu_s)
    return {
        "cpu_s": round(cpu, 3),
        "load_cpu_s": round(middle(lambda r: r.load_cpu_s), 3),
        "net_cpu_s": round(net, 3),
        "wall_s": round(middle(lambda r: r.wall_s), 3),
        "peak_mb": round(middle(lambda r: r.rss_mb)),
        "events_per_cpu_s": round(events / net),
        "cpu_s_all": [round(r.cpu_s, 3) for r in runs],
    }


def make_stored(options, duck, data, events):
    """The month as segments, and as Parquet for DuckDB."""
    if not (data / "ev.parquet").exists():
        say("making Parquet ...")
        text = (GIVEN / "mkparquet.sql").read_text().replace("$D", str(data))
        pieces = [re.sub(r"^--.*$", "", piece, flags=re.M).strip() for piece in re.split(r";\s*\n", text)]
        Run([duck.program, duck.engine, duck.library], b"".join(p.rstrip(";").encode() + b"\0" for p in pieces if p))
    run = Run([options.farthing, "import", "--events", data / "ev.ndjson", "--out", data / "segments",
               "--force", "--json"])
    size = sum(p.stat().st_size for p in (data / "segments").glob("*.segment"))
    result = {
        "import_cpu_s": round(run.cpu_s, 3), "import_wall_s": round(run.wall_s, 3),
        "import_peak_mb": round(run.rss_mb), "bytes_per_event": round(size / events, 2),
        "parquet_bytes_per_event": round((data / "ev.parquet").stat().st_size / events, 2),
        "ndjson_bytes_per_event": round((data / "ev.ndjson").stat().st_size / events, 2),
    }
    say(
        f"  {result['bytes_per_event']} bytes an event (Parquet {result['parquet_bytes_per_event']}, NDJSON "
        f"{result['ndjson_bytes_per_event']}); import {run.cpu_s:.2f} s CPU, {run.rss_mb:.0f} MB"
    )
    return result


def warm_bill(options, catalog, events, out):
    """The second run in one process, and as its load the second one without events."""
    shutil.rmtree(out, ignore_errors=True)
    none = catalog / "none.ndjson"
    process = Run([
        options.farthing.parent / "bench" / "warm", options.threads, 1 << 30, options.folder, out, PERIOD,
        catalog / "catalog", catalog / "accounts.csv", catalog / "overrides.csv", events, events, none, none,
    ])
    lines = [[float(field) for field in line.split("\t")] for line in process.out.splitlines()]
    return types.SimpleNamespace(
        cpu_s=lines[1][0], wall_s=lines[1][1], load_cpu_s=lines[3][0], rss_mb=process.rss_mb
    )


def cold_bill(options, catalog, events, out):
    empty = farthing_bill(options, catalog, catalog / "none.ndjson", out, options.threads)
    run = farthing_bill(options, catalog, events, out, options.threads)
    run.load_cpu_s = empty.cpu_s
    return run


def check_digits(truth, out, last):
    """Every account's amount, digit for digit, against those of a peer."""
    totals, lines = farthing_totals(out)
    exact, bills = bill_exact(out)
    expected = peer_totals(truth.totals)
    ours_sum = EXACT.create_decimal(0)
    for value in totals.values():
        ours_sum = EXACT.add(ours_sum, value)
    differ = [a for a in expected.keys() | totals.keys() if expected.get(a) != totals.get(a)]
    checks = {
        "accounts": (len(totals), int(truth.check["accounts"])),
        "lines": (lines, int(truth.check["lines"])),
        "usage_rows": (last["usage_rows"], int(truth.check["monthly"])),
        "total": (str(ours_sum), truth.check["total"]),
        "total_of_bills": (str(exact), truth.check["total"]),
        "accounts_that_differ": (len(differ), 0),
    }
    is_equal = True
    for name, (mine, theirs) in checks.items():
        same = decimal.Decimal(mine) == decimal.Decimal(theirs)
        is_equal &= same
        say(f"  {name:<22} {mine:>34} {theirs:>34} {'equal' if same else 'DIFFERENT'}")
    for account in sorted(differ)[:5]:
        say(f"    {account}: Farthing {totals.get(account)}, DuckDB {expected.get(account)}")
    counts = {"accounts": len(expected), "bills": bills, "lines": lines, "total": truth.check["total"]}
    return is_equal, counts


def compare(options, peers, truth, book, data, catalog, form, events, rounds):
    """The peers and Farthing in turns on one file, cold and warm; then every digit of the last bills."""
    path = data / ("segments" if form == "segments" else f"ev.{form}")
    size = sum(p.stat().st_size for p in (path.iterdir() if path.is_dir() else [path]))
    out = options.folder / "out"
    cold, warm = {}, {}
    result = {"events": events, "bytes": size, "rounds": rounds, "equal_to_the_last_digit": True}
    for turn in range(rounds):
        for peer in peers:
            first, second = peer.bill(form, book, data, options.threads, 2)
            cold.setdefault(peer.name, []).append(first)
            warm.setdefault(peer.name, []).append(second)
        warm.setdefault("Farthing", []).append(warm_bill(options, catalog, path, out))
        cold.setdefault("Farthing", []).append(cold_bill(options, catalog, path, out))
        say(f"  {form}, round {turn + 1}, CPU seconds cold and warm: " + "; ".join(
            f"{name} {cold[name][-1].cpu_s:.2f} ({cold[name][-1].load_cpu_s:.2f} load) and "
            f"{warm[name][-1].cpu_s:.2f} ({warm[name][-1].load_cpu_s:.2f} load)" for name in warm))
    last = cold["Farthing"][-1].summary
    is_equal, counts = check_digits(truth, out, last)
    result["equal_to_the_last_digit"] = is_equal
    result.update(counts)
    for peer in peers:
        if peer.name == "ClickHouse":
            theirs, expected = peer_totals(cold[peer.name][-1].totals), peer_totals(truth.totals)
            same = theirs == expected
            result["equal_to_the_last_digit"] &= same
            say(f"  ClickHouse's {len(theirs):,} accounts are {'equal' if same else 'DIFFERENT'} to the last digit")
    rows = {
        (name, kind): median_row(runs[name], events)
        for kind, runs in (("cold", cold), ("warm", warm)) for name in runs
    }
    rows["Farthing", "cold"]["seconds_of_parts"] = last.get("seconds")
    say(f"\n  {form:<10} {'':<5} {'CPU s':>8} {'load':>7} {'net':>8} {'wall s':>8} {'peak MB':>8} {'events/CPU s':>14}")
    for (name, kind), row in sorted(rows.items(), key=lambda item: item[0][1]):
        say(
            f"  {name:<10} {kind:<5} {row['cpu_s']:>8.2f} {row['load_cpu_s']:>7.2f} {row['net_cpu_s']:>8.2f} "
            f"{row['wall_s']:>8.2f} {row['peak_mb']:>8} {row['events_per_cpu_s']:>14,}"
        )
        result.setdefault(name.lower(), {})[kind] = row
    for peer in peers:
        for kind, figure in (("warm", "cpu_ratio"), ("cold", "cold_ratio")):
            theirs, mine = rows[peer.name, kind], rows["Farthing", kind]
            key = f"{figure}_{peer.name.lower()}"
            result[key] = round(theirs["net_cpu_s"] / mine["net_cpu_s"], 2)
            result[key + "_whole"] = round(theirs["cpu_s"] / mine["cpu_s"], 2)
            required = REQUIRED.get((form, kind, peer.name))
            say(
                f"  {kind}, times {peer.name}'s events a CPU second: {result[key]} (with load {result[key + '_whole']})"
                + (f", {required} are wanted" if required else "")
            )
    result["peak_bytes"] = rows["Farthing", "cold"]["peak_mb"] << 20
    say()
    return result


# ---- a million, by four ---------------------------------------------------------------------------------


MILLION = 1_000_000


def keep_totals(run, folder):
    """The run, with its totals where no other run's will be."""
    run.totals = pathlib.Path(shutil.move(run.totals, folder / "truth.csv"))
    return run


def four_ways(options, peers, catalog, book):
    """Totals by account of a million events: Farthing's from each form, each peer's, and Python's; and DuckDB's run."""
    events, known = MILLION, None
    _, data = make_input(options.folder, events)
    expected, duplicates = truth.totals(book, data / "ev.csv")
    total = EXACT.create_decimal(0)
    for amount in expected.values():
        total = EXACT.add(total, amount)
    say(f"  Python: {len(expected):,} accounts, {duplicates:,} duplicates, {total}")
    found, out = {}, options.folder / "out"
    for form in ("csv", "ndjson"):
        farthing_bill(options, catalog, data / f"ev.{form}", out, options.threads)
        found[f"Farthing from {form}"] = farthing_totals(out)[0]
        for peer in peers:
            if (peer.name, form) == ("DuckDB", "ndjson"):
                continue  # it reads numbers of JSON through a double
            run = peer.bill(form, book, data, options.threads, 1)[0]
            found[f"{peer.name} from {form}"] = peer_totals(run.totals)
            if peer.name == "DuckDB":
                known = keep_totals(run, options.folder)
    result = {"events": events, "accounts": len(expected), "duplicates": duplicates, "total": str(total)}
    for name, totals in found.items():
        differ = sum(expected.get(a) != totals.get(a) for a in expected.keys() | totals.keys())
        result[name] = differ == 0
        say(f"  {name:<22} {'equal to the last digit' if differ == 0 else f'{differ:,} accounts DIFFER'}")
    say()
    return result, all(result[name] for name in found), known


# ---- memory ---------------------------------------------------------------------------------------------


def same_files(first, second):
    """Whether two outputs have the same bytes, but for seconds and options."""
    names = sorted(p.name for p in first.iterdir())
    same = names == sorted(p.name for p in second.iterdir())
    for name in names:
        if name not in ("summary.json", "run.json"):
            same &= subprocess.run(["cmp", first / name, second / name]).returncode == 0
    return same


def memory(options, catalog, data, events, rounds):
    """The same job with all the memory it wants, and with little: the same bytes at no less than half the speed."""
    limits = {"default": "1GiB", "limited": "256MiB"}
    outs = {name: options.folder / f"memory_{name}" for name in limits}
    runs = {name: [] for name in limits}
    for _ in range(rounds):
        for name, limit in limits.items():
            runs[name].append(farthing_bill(options, catalog, data / "ev.ndjson", outs[name], options.threads, limit))
    middle = lambda name, of: statistics.median(of(run) for run in runs[name])
    result = {"events": events, "rounds": rounds}
    for name, limit in limits.items():
        last = runs[name][-1].summary
        result[name] = {
            "limit": limit, "cpu_s": round(middle(name, lambda r: r.cpu_s), 3),
            "wall_s": round(middle(name, lambda r: r.wall_s), 3), "peak_mb": round(max(r.rss_mb for r in runs[name])),
            "counted_peak_mb": round(last["memory_peak_bytes"] / 2**20),
            "dedup_bytes_per_event": round(last["dedup_peak_bytes"] / events, 2),
        }
        say(
            f"  {limit:>6}: {result[name]['cpu_s']:.2f} s CPU, {result[name]['wall_s']:.2f} s, peak"
            f" {result[name]['peak_mb']} MB of the process, {result[name]['counted_peak_mb']} MB counted; for duplicates"
            f" {result[name]['dedup_bytes_per_event']} bytes an event"
        )
    result["same_bytes"] = same_files(outs["default"], outs["limited"])
    result["within_limit"] = result["limited"]["peak_mb"] <= 256
    result["speed_ratio_wall"] = round(result["default"]["wall_s"] / result["limited"]["wall_s"], 2)
    result["speed_ratio_cpu"] = round(result["default"]["cpu_s"] / result["limited"]["cpu_s"], 2)
    shutil.rmtree(outs["default"])
    shutil.rmtree(outs["limited"])
    say(
        f"  {'the same bytes' if result['same_bytes'] else 'OTHER BYTES'} at {result['speed_ratio_wall']} of the speed"
        f" ({result['speed_ratio_cpu']} by CPU seconds), 0.5 are wanted;"
        f" {'within' if result['within_limit'] else 'BEYOND'} the limit\n"
    )
    return result


# ---- size ---------------------------------------------------------------------------------------------


def load_million(options, catalog):
    """A million accounts and their dated memberships, through `farthing check`."""
    folder = options.folder / "million"
    count = 1_000_000
    if not (folder / "memberships.csv").exists():
        folder.mkdir(exist_ok=True)
        with open(folder / "accounts.csv", "w") as out:
            out.write("id,since\n")
            out.writelines(f"{(i * 282475249) % 900000000000:012d},2025-{i % 12 + 1:02d}-01\n" for i in range(count))
        with open(folder / "memberships.csv", "w") as out:
            out.write("account,organization,from,to\n")
            for i in range(count):
                account = (i * 282475249) % 900000000000
                out.write(f"{account:012d},org-{i * 7919 % 100_003:06d},2025-{i % 12 + 1:02d}-{i % 28 + 1:02d},\n")
    runs = [
        Run([options.farthing, "check", catalog / "catalog", "--accounts", folder / "accounts.csv",
             "--accounts", folder / "memberships.csv", "--memory", "1GiB", "--json"])
        for _ in range(1 if options.quick else 3)
    ]
    run = min(runs, key=lambda r: r.cpu_s)
    found = json.loads(run.out)
    result = {
        "accounts": found.get("accounts"), "organizations": found.get("organizations"),
        "memberships": count, "cpu_s": round(run.cpu_s, 3), "wall_s": round(min(r.wall_s for r in runs), 3),
        "peak_mb": round(run.rss_mb), "target_s": 3, "target_mb": 300,
    }
    say(
        f"  {count:,} accounts with {count:,} memberships load in {result['cpu_s']:.2f} s CPU, "
        f"{result['wall_s']:.2f} s (target 3 s), {result['peak_mb']} MB (target 300)"
    )
    return result


def write_usage(path, accounts, skus, types):
    """Ten SKUs for each account: one event each, spread over the month."""
    with open(path, "w") as out:
        for a, account in enumerate(accounts):
            day, hour = a % 31 + 1, a // 31 % 24
            lines = []
            for j in range(10):
                s = (a * 7 + j * 53) % len(skus)
                sku = skus[s]
                lines.append(
                    f'{{"specversion":"1.0","id":"{a}-{j}","source":"bench","type":"{types[s]}",'
                    f'"subject":"{account}","time":"2026-10-{day:02d}T{hour:02d}:{j:02d}:00Z",'
                    f'"data":{{"quantity":"{(a * 7919 + j * 104729) % 1000003}.{j + 1}25","sku":"{sku}"}}}}\n'
                )
            out.writelines(lines)


def bill_wide(options, catalog):
    """300,000 accounts with 10 SKUs each, in 256 MiB and in 4 GiB: the same bytes."""
    count = 30_000 if options.quick else 300_000
    folder = options.folder / f"wide{count // 1000}"
    if not (folder / "usage.ndjson").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        with open(catalog / "catalog" / "prices.yaml") as file:
            skus = re.findall(r"sku: (\S+)", file.read())
        types = ["com.example." + ".".join(sku.split(".")[:2]) for sku in skus]
        accounts = [f"{100000000000 + i * 282475249 % 900000000000}" for i in range(count)]
        write_usage(folder / "usage.new", accounts, skus, types)
        with open(folder / "accounts.csv", "w") as out:
            out.write("id,organization\n")
            out.writelines(f"{a},{'org-%05d' % (i % 9973) if i % 3 == 0 else ''}\n" for i, a in enumerate(accounts))
        os.rename(folder / "usage.new", folder / "usage.ndjson")
    book = folder / "book"
    if not book.exists():
        book.mkdir()
        (book / "catalog").symlink_to((catalog / "catalog").resolve())
        (book / "accounts.csv").symlink_to((folder / "accounts.csv").resolve())
    outs, result = [], {"accounts": count, "events": count * 10}
    for name, memory, limit_mb in (("limit_256MiB", "256MiB", 256), ("limit_4GiB", "4GiB", 4096)):
        out = folder / name
        run = farthing_bill(options, book, folder / "usage.ndjson", out, options.threads, memory)
        outs.append(out)
        result[name] = {
            "cpu_s": round(run.cpu_s, 3), "wall_s": round(run.wall_s, 3), "peak_mb": round(run.rss_mb),
            "counted_peak_mb": round(run.summary.get("memory_peak_bytes", 0) / 2**20),
            "within_limit": run.rss_mb <= limit_mb,
            "bills": run.summary["bills"], "lines": run.summary["bill_lines"],
        }
        say(
            f"  {count:,} accounts x 10 SKUs in {memory}: {run.cpu_s:.2f} s CPU, {run.wall_s:.2f} s, "
            f"peak {run.rss_mb:.0f} MB of the process, {result[name]['counted_peak_mb']} MB counted; "
            f"{run.summary['bills']:,} bills, {run.summary['bill_lines']:,} lines"
        )
    result["same_bytes"] = same = same_files(*outs)
    say(f"  same bytes with both limits: {'yes' if same else 'NO'}\n")
    return result


# ---- the machine, the whole ----------------------------------------------------------------------------


def expressions(options):
    """Nanoseconds that a filter or value by expression adds to an event (bench/expr.c)."""
    program = options.farthing.parent / "bench" / "expr_bench"
    if not program.exists():
        say(f"SKIPPED: no {program}")
        return None
    costs = {}
    for line in Run([program]).out.strip().split("\n"):
        ns, what = line.split("\t")
        costs[what] = float(ns)
        say(f"  {ns:>6} ns  {what}")
    added = [ns for what, ns in costs.items() if not what.startswith("plain")]
    say(f"  {max(added)} ns at most beside plain members; {EXPRESSION_MAX_NS} are allowed")
    return costs


def machine():
    """What the figures were measured on; nothing that names it."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*: (.*)$", file.read(), re.M)
    with open("/proc/meminfo") as file:
        total = re.search(r"^MemTotal:\s*(\d+)", file.read(), re.M)
    return {
        "processor": model[1] if model else os.uname().machine,
        "processors": os.cpu_count(),
        "memory_gb": round(int(total[1]) / 2**20),
        "kernel": os.uname().release.split("-")[0],
        "load_average_before": round(os.getloadavg()[0], 1),
    }


def keep(options, results):
    """Writes the figures; parts that were not run stay."""
    name = "results.json" if not options.quick else "results_quick.json"
    target = HERE / name if not options.quick else options.folder / name
    if target.exists():
        results = {**json.loads(target.read_text()), **results}
    target.write_text(json.dumps(results, indent=2) + "\n")
    say(f"figures: {os.path.relpath(target)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part", nargs="*", choices=[[], *PARTS])
    parser.add_argument("--farthing", type=pathlib.Path, required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true", help="one million events, one round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory", default="1GiB", help="Farthing's limit beside DuckDB's 14 GB")
    options = parser.parse_args()
    options.farthing = options.farthing.resolve()
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    parts = options.part or PARTS
    if set(parts) - OWN_PARTS and not GIVEN.is_dir():
        say("SKIPPED: the generator and DuckDB's queries are not beside this repository (shared/bench)")
        parts = [part for part in parts if part in OWN_PARTS]
    results = {"machine": machine(), "threads": options.threads, "quick": options.quick}
    results["farthing"] = Run([options.farthing, "--version"]).out.strip()
    try:  # what was measured before a part that fails is kept
        return 0 if run_parts(options, parts, results) else 1
    finally:
        keep(options, results)


def run_parts(options, parts, results):
    """Measures, into results; whether all was equal that should be."""
    events = MILLION if options.quick else 10_000_000
    if set(parts) - OWN_PARTS:
        book, data = make_input(options.folder, events)
        catalog = write_catalog(book, data, options.folder / "book")
    good, of_million = True, None
    compared = set(parts) & {"ndjson", "csv", "segments"}
    wanted = compared or set(parts) & {"truth", "lines", "scale"}
    peers = [peer for peer in (make_peer(name, options.folder) for name in PEERS) if peer] if wanted else []
    duck = next((peer for peer in peers if peer.name == "DuckDB"), None)
    for peer in peers:
        results[peer.name.lower()] = peer.version()
    if "truth" in parts:
        say("a million events, by Farthing, the peers, and Python's integers")
        results["truth"], same, of_million = four_ways(options, peers, catalog, book)
        good &= same
    if duck and compared:
        known = of_million if events == MILLION else None
        known = known or keep_totals(duck.bill("csv", book, data, options.threads, 1)[0], options.folder)
        for form in ("ndjson", "csv", "segments"):
            if form in parts:
                say(f"{events:,} events, {form}, to exact bills; {options.threads} threads")
                rounds = 1 if options.quick else 3
                stored = make_stored(options, duck, data, events) if form == "segments" else {}
                results[form] = compare(
                    options, peers, known, book, data, catalog, form, events, rounds
                )
                results[form].update(stored)
                if stored:
                    results["segment_bytes_per_event"] = stored["bytes_per_event"]
                good &= results[form]["equal_to_the_last_digit"]
                if form == "ndjson":
                    results["peak_bytes"] = results[form]["peak_bytes"]
    if "memory" in parts:
        say(f"memory: {events:,} events, in 1 GiB and in 256 MiB")
        results["memory"] = memory(options, catalog, data, events, 1 if options.quick else 3)
        results["dedup_bytes_per_event"] = results["memory"]["limited"]["dedup_bytes_per_event"]
        good &= results["memory"]["same_bytes"]
    if "lines" in parts:
        say("lines: accounts with 100 SKUs each, tiers, plans and overrides")
        results["lines"], same = lines.measure(
            options, pipe, farthing_bill, duck, book, catalog / "overrides.csv", TENTHS, say
        )
        results["lines_per_second"] = results["lines"]["lines_per_second"]
        good &= same
    if "scale" in parts:
        say("scale: does an event cost the same however many there are")
        generator = options.folder / "gen"
        results["scale"], same = scale.measure(options, generator, farthing_bill, duck, book, catalog, say)
        good &= same
    if "size" in parts:
        say("size")
        results["size"] = {"load": load_million(options, catalog), "wide": bill_wide(options, catalog)}
        good &= results["size"]["wide"]["same_bytes"]
    if "cover" in parts:
        say("cover: an organization's reservations and plans over all of its accounts")
        results["cover"] = cover.measure(options, Run, say)
    if "expr" in parts:
        say("what a filter or value by expression adds to an event")
        results["expr_ns"] = expressions(options)
    if "shapes" in parts:
        say("shapes: what an event costs to read, by how it is written")
        results["shapes"], same = shapes.measure(options, Run, say)
        good &= same
    return good


if __name__ == "__main__":
    sys.exit(main())
