"""Does an event cost the same however many there are?  The generator's month at several sizes.

SCALE_SEGMENTS (default 10,50,100 million) from segments, SCALE_NDJSON (default 10,30) from NDJSON; the same in
DuckDB, from Parquet and NDJSON, up to SCALE_DUCKDB million (none in a quick run; default 50: it takes two minutes and
14 GB then, and does not end within the memory of this machine beyond).  What the generator writes goes through pipes,
so that of the larger ones only the stored forms touch the disk; NDJSON goes when it was measured.
"""
import decimal
import json
import os
import shutil
import subprocess


EXACT = decimal.Context(prec=80, traps=[decimal.Inexact, decimal.InvalidOperation])


def sizes(name, default):
    return [int(size) for size in os.environ.get(name, default).split(",") if size]


def generate(generator, events, folder, readers):
    """Runs the generator with pipes in place of its files; a reader gets the path of one, and is a command."""
    folder.mkdir(parents=True)
    started = []
    for name in ("ev.ndjson", "ev.csv"):
        path = folder / name
        reader = readers.get(name)
        if reader is None:
            path.symlink_to("/dev/null")
        elif reader != "file":
            os.mkfifo(path)
            started.append(subprocess.Popen([str(part) for part in reader(path)], stdout=subprocess.DEVNULL))
    subprocess.run([generator, str(events), folder], check=True, stderr=subprocess.DEVNULL)
    for process in started:
        if process.wait() != 0:
            raise SystemExit(f"bench: exit code {process.returncode}: {process.args}")
    for name in ("ev.ndjson", "ev.csv"):
        if readers.get(name) != "file":
            (folder / name).unlink()


def make_input(options, generator, duck, form, millions, wants_duckdb):
    """The folder of a size's data in one form; made when it, or what DuckDB needs, is not there."""
    folder = options.folder / f"scale{millions}_{form}"
    has_all = form != "segments" or not wants_duckdb or (folder / "ev.parquet").exists()
    if folder.exists() and has_all:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    scratch = folder.with_name(folder.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)
    readers = {"ev.ndjson": "file"}
    if form == "segments":
        readers["ev.ndjson"] = lambda path: [options.farthing, "import", "--format", "ndjson", "--events", path,
                                             "--out", scratch / "segments", "--quiet"]
        if wants_duckdb:
            readers["ev.csv"] = lambda path: duck.copy_command(path, scratch / "ev.parquet")
    generate(generator, millions * 1_000_000, scratch, readers)
    scratch.rename(folder)
    return folder


def bill_total(out):
    total = decimal.Decimal(0)
    with open(out / "bills.ndjson") as file:
        for line in file:
            total = EXACT.add(total, decimal.Decimal(json.loads(line)["exact"]))
    return EXACT.multiply(total, decimal.Decimal(1).scaleb(-1))


def measure_one(options, bill, duck, book, catalog, form, millions, folder, wants_duckdb, say):
    events = millions * 1_000_000
    out = options.folder / "scale_out"
    path = folder / ("segments" if form == "segments" else "ev.ndjson")
    run = bill(options, catalog, path, out, options.threads)
    total = bill_total(out)
    shutil.rmtree(out)
    cpu = run.summary["cpu_seconds"]
    net = cpu["read"] + cpu["accept"] + cpu["bill"]
    result = {
        "form": form, "events": events, "net_cpu_s": round(net, 3), "ns_per_event": round(net / events * 1e9, 1),
        "read_ns_per_event": round(cpu["read"] / events * 1e9, 1), "wall_s": round(run.wall_s, 3),
        "peak_mb": round(run.rss_mb), "lines": run.summary["bill_lines"], "total": str(total),
        "dedup_bytes_per_event": round(run.summary["dedup_peak_bytes"] / events, 2),
    }
    if form == "segments":
        size = sum(found.stat().st_size for found in path.glob("*.segment"))
        result["bytes_per_event"] = round(size / events, 2)
    say(
        f"  {millions} million from {form}: {net:.2f} s CPU, {result['ns_per_event']} ns an event"
        f" ({result['read_ns_per_event']} of it reading), {run.wall_s:.1f} s, {run.rss_mb:.0f} MB,"
        f" {result['dedup_bytes_per_event']} bytes an event for duplicates"
    )
    if not wants_duckdb:
        return result, True
    theirs = duck.bill(form, book, folder, options.threads, 1)[0]
    net_theirs = theirs.cpu_s - theirs.load_cpu_s
    # DuckDB reads numbers of JSON through a double: only from Parquet its digits are those of the file.
    same = form != "segments" or decimal.Decimal(theirs.check["total"]) == total
    result["duckdb"] = {"net_cpu_s": round(net_theirs, 3), "ns_per_event": round(net_theirs / events * 1e9, 1),
                        "wall_s": round(theirs.wall_s, 3), "peak_mb": round(theirs.rss_mb)}
    result["cpu_ratio_duckdb"] = round(net_theirs / net, 2)
    result["equal_to_the_last_digit"] = same
    say(
        f"    DuckDB: {net_theirs:.2f} s CPU, {theirs.rss_mb:.0f} MB: {result['cpu_ratio_duckdb']} times;"
        f" total {'equal' if same else 'DIFFERENT'}" + ("" if form == "segments" else " (not compared)")
    )
    return result, same


def measure(options, generator, bill, duck, book, catalog, say):
    quick = options.quick
    wanted = [("segments", size) for size in sizes("SCALE_SEGMENTS", "1,3" if quick else "10,50,100")]
    wanted += [("ndjson", size) for size in sizes("SCALE_NDJSON", "1" if quick else "10,30")]
    most = int(os.environ.get("SCALE_DUCKDB", 0 if quick else 50))
    results, good = [], True
    for form, millions in wanted:
        wants_duckdb = duck is not None and millions <= most
        need = millions * 1_000_000 * (320 if form == "ndjson" else 110)
        if need > shutil.disk_usage(options.folder).free * 0.9:
            say(f"  SKIPPED: {millions} million from {form} need {need >> 30} GB of disk")
            continue
        folder = make_input(options, generator, duck, form, millions, wants_duckdb)
        found, same = measure_one(options, bill, duck, book, catalog, form, millions, folder, wants_duckdb, say)
        results.append(found)
        good &= same
        if form == "ndjson":
            shutil.rmtree(folder)
    rise = {}
    for form in ("segments", "ndjson"):
        of = [found for found in results if found["form"] == form]
        if len(of) > 1:
            rise[form] = round(of[-1]["ns_per_event"] / of[0]["ns_per_event"], 2)
            say(f"  an event of {of[-1]['events']:,} from {form} costs {rise[form]} times one of {of[0]['events']:,}")
    say()
    return {"sizes": results, "cost_of_an_event_rises": rise}, good
