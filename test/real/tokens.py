#!/usr/bin/env python3
"""Requests to language models, billed and calculated again: tokens.py --data DIR --farthing build/release/farthing

DIR has a table of prices (model_prices*.json: a model's cost for an input and an output token, and above a step such as
200k tokens) and real requests (*.csv: time, context tokens, generated tokens).  Above a step the whole request, input
and output, is at the higher price.  The real requests are dealt to all models in turn; for each model with steps come
seeded requests of 127,999 to 600,000 tokens, at, just below and just above each step and at random.

Each request is a resource, and so two lines of a bill, whose amounts must be what Python's decimals say, to the last
digit.  Ends with `tokens: R requests, C compared, E equal, D different`; the status is 1 when D > 0."""
import argparse
import csv
import glob
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from decimal import Decimal, getcontext

getcontext().prec = 60
SHORTEST, LONGEST = 127999, 600000
KINDS = ("input", "output")
SHOWN_MAX = 20
PRICES_PER_FILE = 4000  # a file of the catalog has at most 1 MB


def plain(number):
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


class Model:
    def __init__(self, name, entry):
        self.name = name
        self.rates = {kind: [] for kind in KINDS}  # [(above, rate)], ascending; the first is above -1
        for part in entry.get("tiered_pricing", []):
            for kind in KINDS:
                if kind + "_cost_per_token" in part:
                    start = int(Decimal(part["range"][0]))
                    self.rates[kind].append((start or -1, Decimal(part[kind + "_cost_per_token"])))
        for kind in KINDS:
            base = entry.get(kind + "_cost_per_token")
            if base is not None and not self.rates[kind]:
                self.rates[kind].append((-1, Decimal(base)))
                for key, value in entry.items():
                    step = re.fullmatch(kind + r"_cost_per_token_above_(\d+)k_tokens", key)
                    if step and value is not None:
                        self.rates[kind].append((int(step.group(1)) * 1000, Decimal(value)))
            self.rates[kind].sort()

    @property
    def steps(self):
        return sorted({above for rates in self.rates.values() for above, _ in rates if above > 0})

    @property
    def is_priced(self):
        """Both kinds have prices, and the catalog can write them: at most 18 digits after the point."""
        return all(rates and rates[0][0] == -1 for rates in self.rates.values()) and all(
            -rate.normalize().as_tuple().exponent <= 18 for rates in self.rates.values() for _, rate in rates)

    def rate(self, kind, prompt):
        return [rate for above, rate in self.rates[kind] if prompt > above][-1]


def read_models(folder):
    models = []
    for path in sorted(glob.glob(os.path.join(folder, "model_prices*.json"))):
        with open(path, encoding="utf-8") as file:
            table = json.load(file, parse_float=str, parse_int=str)
        models += [Model(name, entry) for name, entry in sorted(table.items())
                   if isinstance(entry, dict) and name != "sample_spec"]
    return models


def read_requests(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.csv"))):
        with open(path, newline="", encoding="utf-8") as file:
            rows = csv.DictReader(file)
            if "ContextTokens" in rows.fieldnames:
                for row in rows:
                    yield row["TIMESTAMP"][:19].replace(" ", "T") + "Z", int(row["ContextTokens"]), int(
                        row["GeneratedTokens"])


def make_requests(folder, models, seed):
    """[(time, model, input, output)]"""
    real = list(read_requests(folder))
    requests = [(time, models[i % len(models)], prompt, answer) for i, (time, prompt, answer) in enumerate(real)]
    draw = random.Random(seed)
    month = real[0][0][:7]
    for model in models:
        if not model.steps:
            continue
        prompts = {SHORTEST, SHORTEST + 1, SHORTEST + 2, LONGEST} | {draw.randint(SHORTEST, LONGEST) for _ in range(8)}
        prompts |= {step + off for step in model.steps for off in (-1, 0, 1)}
        for prompt in sorted(prompts):
            time = "%s-%02dT%02d:%02d:00Z" % (month, draw.randint(1, 28), draw.randint(0, 23), draw.randint(0, 59))
            requests.append((time, model, prompt, draw.randint(0, 70000)))
    return requests


def write_catalog(folder, models):
    with open(os.path.join(folder, "meters.yaml"), "w", encoding="utf-8") as file:
        file.write("catalog: tokens\ncurrency: USD\nrounding: exact\nmeters:\n")
        for kind in KINDS:
            file.write("  %s:\n    event: request\n    value: data.%s\n    sku: 'data.model + \"/%s\"'\n" % (
                kind, kind, kind))
            file.write("    resource: id\n    dimensions: {prompt: string(data.input)}\n")
        file.write("accounts: [%s]\n" % ", ".join("{id: a%d}" % i for i in range(10)))
    prices = []
    for model in models:
        for kind in KINDS:
            cases = ["{where: number(prompt) > %d, rate: %s}" % (above, plain(rate))
                     for above, rate in reversed(model.rates[kind][1:])]
            cases.append("{rate: %s}" % plain(model.rates[kind][0][1]))
            prices.append("  - {sku: %s, grain: hour, steps: [rate: {cases: [%s]}]}\n" % (
                json.dumps("%s/%s" % (model.name, kind)), ", ".join(cases)))
    for first in range(0, len(prices), PRICES_PER_FILE):
        with open(os.path.join(folder, "prices%d.yaml" % first), "w", encoding="utf-8") as file:
            file.write("prices:\n" + "".join(prices[first:first + PRICES_PER_FILE]))


def bill(farthing, folder, models, requests):
    catalog, usage, out = (os.path.join(folder, name) for name in ("catalog", "usage.ndjson", "out"))
    os.mkdir(catalog)
    write_catalog(catalog, models)
    with open(usage, "w", encoding="utf-8") as file:
        for number, (time, model, prompt, answer) in enumerate(requests):
            print(json.dumps({"specversion": "1.0", "id": "r%d" % number, "source": "gateway", "type": "request", "subject":
                              "a%d" % (number % 10), "time": time, "data":
                              {"model": model.name, "input": prompt, "output": answer}}), file=file)
    command = [farthing, "bill", "--catalog", catalog, "--period", requests[0][0][:7], "--events", usage,
               "--opening", "none", "--out", out]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit("%s\n%s%s" % (" ".join(command), run.stdout, run.stderr))
    amounts = defaultdict(list)
    with open(os.path.join(out, "lines.csv"), newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["kind"] == "usage":
                amounts[row["resource"], row["sku"], row["account"]].append((row["quantity"], row["amount"]))
    return amounts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--farthing", default="build/release/farthing")
    parser.add_argument("--keep", help="a new folder for catalog, events and bill")
    arguments = parser.parse_args()
    every = read_models(arguments.data)
    if not every:
        print("SKIPPED: no table of model prices in %s" % arguments.data)
        return 0
    models = [model for model in every if model.is_priced]
    requests = make_requests(arguments.data, models, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="farthing-tokens-") as folder:
        if arguments.keep:
            folder = arguments.keep
            os.makedirs(folder)
        amounts = bill(arguments.farthing, folder, models, requests)

    compared = equal = 0
    total = Decimal(0)
    for number, (_, model, prompt, answer) in enumerate(requests):
        for kind, tokens in zip(KINDS, (prompt, answer)):
            cost = tokens * model.rate(kind, prompt)
            total += cost
            key = "r%d" % number, "%s/%s" % (model.name, kind), "a%d" % (number % 10)
            ours = amounts.pop(key, [])
            compared += 1
            if ours == [(str(tokens), plain(cost))]:
                equal += 1
            elif compared - equal <= SHOWN_MAX:
                print("DIFFERENT: seed %d, %s %s: %d tokens of a prompt of %d are %s, not %s" % (
                    arguments.seed, *key[:2], tokens, prompt, plain(cost), ours))
    for key in amounts:
        compared += 1
        print("DIFFERENT: a line of %s %s %s that no request explains" % key)
    stepped = [model for model in models if model.steps]
    steps = sorted({step for model in stepped for step in model.steps})
    print("%d models, of them %d with steps (%s tokens); %d without prices of both kinds left out" % (
        len(models), len(stepped), ", ".join("{:,}".format(step) for step in steps), len(every) - len(models)))
    print("%d requests, %d of them of 127,999 tokens or more; %s USD" % (
        len(requests), sum(prompt >= SHORTEST for _, _, prompt, _ in requests), plain(total)))
    print("tokens: %d requests, %d compared, %d equal, %d different" % (
        len(requests), compared, equal, compared - equal))
    return 1 if compared != equal else 0


if __name__ == "__main__":
    sys.exit(main())
