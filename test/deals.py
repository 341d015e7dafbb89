#!/usr/bin/env python3
"""Holds the deals of examples/deals, or the cases of another folder, against their calculations, figure by figure.

    test/deals.py --farthing BUILD/farthing [--deals examples/clouds/aws --least 14]

Of each deal there are NN-name.yaml, a pricing case, and NN-name.py, which works out without Farthing what the case has to
come to, and prints a figure a line: a path and a number, as in `total 970` or `by_account globex 2.5`. A case with several
bills has the bill in front: `2026-10 total 20`. A line of the bill is `line`, what chooses it, and what is compared:
`line tier=0 rate=0.10 amount 100`. Every figure that a case expects must be printed, and every one that is printed must be
expected; then `farthing test` holds the cases against the program.
"""

import argparse
import concurrent.futures
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import yaml

DEALS = Path("examples/deals")
LEAST = 40  # deals that there are at least
COMPARED = ("amount", "quantity", "net", "list", "exact", "effective", "events")


def figures_of(value, path):
    """Every number below a key of `expect`, by its path."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from figures_of(below, path + (key,))
    else:
        yield path, Fraction(value)


def figures_of_line(line, path):
    chosen = tuple(f"{key}={value}" for key, value in line.items() if key not in COMPARED)
    for key in COMPARED:
        if key in line:
            yield path + ("line",) + chosen + (key,), Fraction(line[key])


def name_of_bill(bill):
    return f"{bill['from']}..{bill['to']}" if isinstance(bill, dict) else bill


def expected_figures(case):
    steps = case["story"] if "story" in case else [case]
    for step in steps:
        path = (name_of_bill(step["bill"]),) if "story" in case and "bill" in step else ()
        for key, value in step.get("expect", {}).items():
            if key == "lines":
                for line in value:
                    yield from figures_of_line(line, path)
            else:
                yield from figures_of(value, path + (key,))


def printed_figures(script):
    output = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    if output.returncode != 0:
        raise ValueError(f"it fails: {output.stderr.strip().splitlines()[-1]}")
    for line in output.stdout.splitlines():
        *path, number = line.split()
        yield tuple(path), Fraction(number)


def to_map(figures):
    found = {}
    for path, number in figures:
        path = tuple(word for part in path for word in part.split())
        if path in found:
            raise ValueError(f"{' '.join(path)} stands there twice")
        found[path] = number
    return found


def judge(case_file):
    """What is wrong with one deal, and how many figures it has."""
    script = case_file.with_suffix(".py")
    if not script.exists():
        return ["there is no calculation beside it"], 0
    with case_file.open(encoding="utf-8") as text:
        case = yaml.load(text, yaml.BaseLoader)
    try:
        if not case.get("why"):
            return ["it does not say why"], 0
        expected, printed = to_map(expected_figures(case)), to_map(printed_figures(script))
    except (ValueError, ZeroDivisionError) as problem:
        return [str(problem)], 0
    wrong = [f"{' '.join(path)}: the case says {float(number):g}, the calculation nothing"
             for path, number in expected.items() if path not in printed]
    wrong += [f"{' '.join(path)}: the calculation says {float(number):g}, the case nothing"
              for path, number in printed.items() if path not in expected]
    wrong += [f"{' '.join(path)}: the case says {expected[path]}, the calculation {number}"
              for path, number in printed.items() if path in expected and expected[path] != number]
    return wrong, len(expected)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--farthing", required=True)
    parser.add_argument("--deals", type=Path, default=DEALS)
    parser.add_argument("--least", type=int, default=LEAST)
    options = parser.parse_args()
    cases = sorted(options.deals.glob("*.yaml"))
    failed, figures = 0, 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        judged = list(pool.map(judge, cases))
    for script in sorted(options.deals.glob("*.py")):
        if not script.with_suffix(".yaml").exists():
            print(f"{script.name}: there is no deal of it")
            failed += 1
    for case_file, (wrong, count) in zip(cases, judged):
        figures += count
        failed += bool(wrong)
        for text in wrong:
            print(f"{case_file.name}: {text}")
    print(f"deals: {len(cases)} with {figures} figures, {failed} differ from their calculations", flush=True)
    run = subprocess.run([options.farthing, "test", str(options.deals)], check=False)
    return 1 if failed or run.returncode or len(cases) < options.least else 0


if __name__ == "__main__":
    sys.exit(main())
