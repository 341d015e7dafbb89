#!/usr/bin/env python3
"""Whether the pages in doc/ have every column and member of what the program writes.

    test/pages.py --farthing build/release/farthing

A closed month of the quick start, its correction, and what each command says of them as JSON: each
member of an object must stand on its page between backticks, each column of a CSV file in output.md.
Names that come from a catalog or a table of codes (products, reasons, files) are none.
"""
import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
QUICKSTART = SOURCE / "examples" / "quickstart"
BY_NAME = {"refused_by_reason", "excluded_by_reason", "amount_by_product", "failed", "dimensions",
           "other_currencies", "totals", "files"}
INPUTS = ["--catalog", str(QUICKSTART / "catalog.yaml"), "--accounts", str(QUICKSTART / "accounts.csv"),
          "--period", "2026-10", "--quiet"]


def members(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in BY_NAME:
                yield from members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from members(inner)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--farthing", type=Path, required=True)
    farthing = str(parser.parse_args().farthing.resolve())
    missing, seen = set(), 0

    def hold(page, names):
        nonlocal seen
        words = {word for span in re.findall(r"`([^`\n]+)`", (SOURCE / "doc" / page).read_text())
                 for word in re.findall(r"\w+", span)}
        for name in names:
            seen += 1
            if name not in words:
                missing.add((page, name))

    with tempfile.TemporaryDirectory() as folder:
        def call(*arguments, allowed=(0,)):
            process = subprocess.run([farthing, *arguments], cwd=folder, capture_output=True, text=True,
                                     check=False)
            if process.returncode not in allowed:
                sys.exit(f"farthing {' '.join(arguments)}: {process.returncode}\n{process.stderr}")
            return process.stdout

        def call_json(page, *arguments, allowed=(0,)):
            output = call(*arguments, "--json", allowed=allowed)
            found = [json.loads(output)] if page != "test.md" else map(json.loads, output.splitlines())
            hold(page, members(list(found)))

        events = (QUICKSTART / "usage.ndjson").read_text().splitlines(keepends=True)
        (Path(folder) / "first.ndjson").write_text("".join(events[:4]))
        (Path(folder) / "late.ndjson").write_text("".join(events[4:]))
        call_json("bill.md", "bill", *INPUTS, "--events", "first.ndjson", "--out", "closed")
        call_json("correct.md", "correct", "--closed", "closed", "--events", "late.ndjson", "--out", "late")
        call("bill", *INPUTS, "--events", "first.ndjson", "--events", "late.ndjson", "--billed", "closed",
             "--out", "all")
        for out in ("closed", "late", "all"):
            for path in (Path(folder) / out).iterdir():
                text = path.read_text()
                if path.suffix == ".csv":
                    hold("output.md", text.splitlines()[0].split(","))
                for line in text.splitlines() if path.suffix != ".csv" else ():
                    hold("output.md", members(json.loads(line)))
        hold("diff.md", call("diff", "closed", "late", "--csv").splitlines()[0].split(","))
        call_json("diff.md", "diff", "closed", "late")
        call_json("show.md", "show", "late")
        for line in (Path(folder) / "late" / "lines.csv").read_text().splitlines()[1:]:
            call_json("explain.md", "explain", "late", line.split(",")[1], "--events", "first.ndjson",
                      "--events", "late.ndjson")
        call_json("check.md", "check", str(QUICKSTART / "usage.ndjson"), allowed=(1,))
        call_json("import.md", "import", "--events", "late.ndjson", "--out", "segments")
        call_json("test.md", "test", str(SOURCE / "test" / "pricing" / "fixed.yaml"), "--verbose")

    for page, name in sorted(missing):
        print(f"doc/{page}: does not say what `{name}` is")
    print(f"{seen} members and columns, {len(missing)} on no page")
    return 1 if missing or seen < 200 else 0


if __name__ == "__main__":
    sys.exit(main())
