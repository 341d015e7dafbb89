"""What an event costs to read, by how it is written: flat and nested data, texts with escapes, numbers with exponents, times
that are numbers, members that some lack, many types in turns, batches, and rows of CSV.  The benchmark's own events are all
of one kind.

The events of each shape mean the same, in one order, so that each must come to the same total; shapes are read in turns."""
import csv
import json
import shutil
import statistics

EVENTS, EVENTS_QUICK, ACCOUNTS, ROUNDS = 500_000, 50_000, 1_000, 5
TYPES = [f"tokens.{i}" for i in range(20)]
CATALOG = ("catalog: shapes\ncurrency: USD\nmeters:\n"
           + "".join(f"  meter{i}: {{event: {kind}, value: data.n}}\n" for i, kind in enumerate(TYPES))
           + f"prices: [{{sku: [{', '.join(f'meter{i}' for i in range(20))}], steps: [{{rate: 0.01}}]}}]\n")


def record(number, data=None, kind=TYPES[0], time=None, **others):
    day, hour, minute = number % 30 + 1, number // 30 % 24, number // 720 % 60
    return {"specversion": "1.0", "id": f"e-{number}", "source": "/bench", "type": kind, "subject": f"a{number % ACCOUNTS}",
            "time": f"2026-10-{day:02d}T{hour:02d}:{minute:02d}:00Z" if time is None else time,
            "data": {"n": number % 100, **(data or {})}, **others}


def seconds(number):
    return 1_790_812_800 + number % 30 * 86_400 + number // 30 % 24 * 3_600 + number // 720 % 60 * 60


MODEL = {"model": "large", "region": "eu-west-1"}
SHAPES = {
    "flat": lambda i: record(i, MODEL),
    "object": lambda i: record(i, {"model": {"name": "large", "region": "eu-west-1"}}),
    "array": lambda i: record(i, {"tags": ["large", "eu-west-1"]}),
    "escapes": lambda i: record(i, {"model": "große", "region": "a\nb"}),
    "exponents": lambda i: record(i, {"model": 1.5e-7, "region": 2.5e-9}),
    "epoch": lambda i: record(i, MODEL, time=seconds(i)),
    "optional": lambda i: record(i, {name: 1 for bit, name in enumerate("abcd") if i >> bit & 1}),
    "types": lambda i: record(i, {f"m{i % 20}": "large", "region": "eu-west-1"}, kind=TYPES[i % 20]),
    "batches": lambda i: record(i, MODEL),
}
BATCH = 100
ROWS = {  # the fields of data, and what is in quotes
    "csv": (lambda data: data, csv.QUOTE_MINIMAL),
    "csv_quoted": (lambda data: data, csv.QUOTE_ALL),
    "csv_json": (lambda data: {"data": json.dumps(data)}, csv.QUOTE_MINIMAL),
}


def write_rows(out, shape, events):
    of_data, quoting = ROWS[shape]
    writer = csv.writer(out, quoting=quoting, lineterminator="\n")
    for number in range(events):
        event = record(number, MODEL)
        fields = {name: event[name] for name in ("id", "source", "type", "subject", "time")} | of_data(event["data"])
        if number == 0:
            writer.writerow(fields)
        writer.writerow(fields.values())


def write(path, shape, events):
    with open(path, "w") as out:
        if shape in ROWS:
            write_rows(out, shape, events)
            return
        for first in range(0, events, BATCH):
            lines = [json.dumps(SHAPES[shape](i), separators=(",", ":")) for i in range(first, first + BATCH)]
            out.write("[" + ",".join(lines) + "]\n" if shape == "batches" else "\n".join(lines) + "\n")


def measure(options, run_command, say):
    events = EVENTS_QUICK if options.quick else EVENTS
    folder = options.folder / f"shapes{events}"
    folder.mkdir(exist_ok=True)
    catalogs = {shape: folder / ("rows.yaml" if shape in ("csv", "csv_quoted") else "catalog.yaml")
                for shape in [*SHAPES, *ROWS]}
    (folder / "catalog.yaml").write_text(CATALOG)
    (folder / "rows.yaml").write_text(CATALOG + "csv: {columns: {n: {to: data.n, number: true}}}\n")
    (folder / "accounts.csv").write_text("id\n" + "".join(f"a{i}\n" for i in range(ACCOUNTS)))
    paths = {shape: folder / f"{shape}.{'csv' if shape in ROWS else 'ndjson'}" for shape in [*SHAPES, *ROWS]}
    for shape, path in paths.items():
        if not path.exists():
            write(folder / "new", shape, events)
            (folder / "new").rename(path)
    taken, totals = {shape: [] for shape in paths}, set()
    for _ in range(1 if options.quick else ROUNDS):
        for shape, path in paths.items():
            shutil.rmtree(folder / "out", ignore_errors=True)
            run = run_command([options.farthing, "bill", "--catalog", catalogs[shape], "--accounts",
                               folder / "accounts.csv", "--events", path, "--period", "2026-10", "--out", folder / "out",
                               "--threads", "1", "--json"])
            summary = json.loads(run.out)
            totals.add(summary["total"])
            taken[shape].append(summary["cpu_seconds"]["read"] / events * 1e9)
    shutil.rmtree(folder / "out", ignore_errors=True)
    ns = {shape: round(statistics.median(all_ns)) for shape, all_ns in taken.items()}
    size = {shape: round(path.stat().st_size / events) for shape, path in paths.items()}
    for shape in paths:
        say(f"  {shape}: {ns[shape]} ns to read an event of {size[shape]} bytes, {ns[shape] / ns['flat']:.2f} times a flat one")
    return {"events": events, "ns_an_event": ns, "bytes_an_event": size}, len(totals) == 1
