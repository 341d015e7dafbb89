"""Closed periods and their corrections against a fresh bill of all that is known.

A world's lines come in three rounds: some are billed and closed, the others come late, with withdrawals of what was billed and, at some
point, another price list. Closed bills and corrections must add up to the bill that is made at once, line by line, and the same
correction again must write nothing."""
import collections
import copy
import json
import os
import subprocess

import times
import world_terms
from exact import num, plain
from usage import WITHDRAWAL, Event, Refused, read_line
from world import Raw, write_json

ROUNDS = 3
SUMS = ("quantity", "exact", "amount", "list", "events", "price_amount", "effective")


def records_of(line):
    """[(key, canonical) or None] for each record of a line: None of what is no usage event."""
    try:
        records = read_line(line)
    except Refused:
        return []
    out = []
    for record in records:
        try:
            event = Event(record)
        except Refused:
            event = None
        usable = event and event.type != WITHDRAWAL
        out.append(((event.source, event.id), event.canonical) if usable else None)
    return out


def what_is_accepted(rounds):
    """The lines of all rounds, without records that conflict with one of an earlier round: that one stays accepted."""
    accepted, out = {}, []
    for lines in rounds:
        new = collections.defaultdict(list)
        for line in lines:
            found = records_of(line)
            bad = [i for i, item in enumerate(found)
                   if item and item[0] in accepted and accepted[item[0]] != item[1]]
            for item in found:
                if item and item[0] not in accepted:
                    new[item[0]].append(item[1])
            if not bad:
                out.append(line)
            elif len(found) > 1:
                batch = json.loads(line, parse_float=Raw, parse_int=Raw)
                out.append(write_json([r for i, r in enumerate(batch) if i not in bad]))
        for key, contents in new.items():
            accepted[key] = min(contents, key=lambda text: text.encode())
    return out


def withdrawals(world, rng, lines):
    """Of some events that were billed, and of one that nobody knows."""
    found = [item[0] for line in lines for item in records_of(line) if item]
    out = []
    for i, (source, name) in enumerate(rng.sample(found, min(2, len(found))) + [("nobody", "knows")]):
        out.append(write_json({
            "specversion": "1.0", "source": "support", "id": "back-%d" % i, "type": WITHDRAWAL,
            "time": times.form(world.period[1]), "data": {"source": source, "id": name}}))
    return out


def other_prices(world, rng):
    """The catalog with some rates changed, one of them from a moment in the period on."""
    catalog = copy.deepcopy(world.catalog)
    prices = catalog["prices"]
    names = collections.Counter(price.get("name", str(price["sku"])) for price in prices)
    changed = 0
    for price in list(prices):
        price["steps"] = copy.deepcopy(price["steps"])
        if rng.random() < 0.5:
            continue
        new = copy.deepcopy(price)
        found = raise_rates(new["steps"], rng)
        if not found:
            continue
        changed += found
        alone = names[price.get("name", str(price["sku"]))] == 1
        if alone and "from" not in price and "to" not in price and rng.random() < 0.5:
            at = times.form(world.moment(rng))
            price["to"], new["from"] = at, at
            prices.append(new)
        else:
            price["steps"] = new["steps"]
    return catalog if changed else None


def raise_rates(steps, rng):
    def other(value):
        return Raw(plain(num(value) * rng.choice([2, 3]) + num("0.01")))
    count = 0
    for step in steps:
        body = step.get("rate")
        if isinstance(body, Raw):
            step["rate"] = other(body)
            count += 1
        elif isinstance(body, dict) and isinstance(body.get("rate"), Raw):
            body["rate"] = other(body["rate"])
            count += 1
        tier = step.get("tier")
        for row in (tier.get("tiers", []) if isinstance(tier, dict) else []):
            if isinstance(row, dict) and isinstance(row.get("rate"), Raw):
                row["rate"] = other(row["rate"])
                count += 1
    return count


def cuts(bench):
    """The period, or two parts of it whose bills go on from one to the other."""
    start, end = bench.world.period
    middle = (start + (end - start) * bench.rng.randrange(1, 9) // 10) // times.HOUR * times.HOUR
    if bench.world.commitments:  # whole turns of theirs
        zone = bench.world.catalog.get("billing", {}).get("zone")
        middle = times.instant(times.civil(middle, zone)[0], 0, zone)
    anchored = any(bench.setup.is_anchored(account) for account in bench.setup.accounts)
    if anchored or not start < middle < end or bench.rng.random() < 0.5:
        return [bench.world.period_text]
    return ["%s/%s" % (times.form(a), times.form(b)) for a, b in ((start, middle), (middle, end))]


def bill_chain(bench, name, periods, lines, catalog):
    """First bills of all periods, each with the closing of the one before."""
    outputs, options = [], ["--opening", "none"]
    for i, period in enumerate(periods):
        outputs.append(bench.bill("%s%d" % (name, i), catalog=catalog, lines=lines, period=period,
                                  options=options))
        options = ["--opening", outputs[-1].folder + "/closing.ndjson"]
    return outputs


def correct(bench, name, folders, files, catalog, options):
    """{period index: folder} of what was written."""
    runner = bench.runner
    out = runner.path(bench.name + "-" + name + ".out")
    command = [runner.farthing, "correct", "--out", out, "--json", *options]
    for folder in folders:
        command += ["--closed", folder]
    for path in files:
        command += ["--events", path]
    if catalog:
        command += ["--catalog", catalog]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    runner.counts["runs"] += 1
    if b"before this period" in done.stderr:
        raise Refused(done.stderr.decode(errors="replace"))
    bench.expect(done.returncode == 0, "%s: exit code %d: %s", " ".join(command), done.returncode,
                 done.stderr.decode(errors="replace").strip()[:2000])
    told = json.loads(done.stdout)
    bench.expect(told["written"] > 0 or not os.path.exists(out), "%s: nothing is written, and is there", out)
    return {i: item["out"] for i, item in enumerate(told["corrections"]) if item["out"]}


def add_up(bench, outputs):
    """Lines by id: what is the same in all, and sums; without those that add up to nothing."""
    same, sums = {}, {}
    for output in outputs:
        for line in output.lines():
            key = line["bill"], line["line"]
            # level is no part of the key: whose price a shared minimum was settled by can change with what is known
            rest = {name: text for name, text in line.items() if name not in SUMS + ("fingerprint", "level")}
            bench.expect(same.setdefault(key, rest) == rest, "line %s of %s is not one", *key)
            total = sums.setdefault(key, [num(0)] * len(SUMS) + [0])
            for i, name in enumerate(SUMS):
                total[i] += num(line.get(name) or "0")
            total[-1] = (total[-1] + int(line["fingerprint"] or "0", 16)) % 2 ** 64
    return {key: (same[key], total) for key, total in sums.items() if any(total)}


def compare(bench, name, fresh, outputs, files=("usage.csv", "closing.ndjson", "exclusions.csv")):
    one, other = add_up(bench, [fresh]), add_up(bench, outputs)
    for key in sorted(set(one) | set(other)):
        a, b = (side.get(key, ({}, [num(0)] * len(SUMS) + [0])) for side in (one, other))
        bench.expect(a[1] == b[1], "%s: line %s of %s (%s): %s at once, %s closed and corrected", name, key[1],
                     key[0], a[0] or b[0], [str(x) for x in a[1]], [str(x) for x in b[1]])
    totals = collections.Counter()
    for output, sign in [(fresh, 1)] + [(o, -1) for o in outputs]:
        for bill in output.bills():
            totals[bill["bill"]] += sign * num(bill["total"])
    bench.expect(not any(totals.values()), "%s: totals differ by %s", name, dict(totals))
    for file in files:
        a, b = ([line for line in output.bytes[file].splitlines() if b",OUT_OF_PERIOD," not in line]
                for output in (fresh, outputs[-1]))  # what is of no closed period is not remembered
        if file == "exclusions.csv":  # nor of which of several bills without lines they were
            a, b = sorted(a), sorted(b)
        bench.expect(a == b, "%s: %s differs from that of a fresh bill", name, file)
    return len(one)


def diff(bench, first, last, outputs, is_repriced):
    """farthing diff of the closed bills and what they have become: every amount that moved is there, with reasons that add up."""
    done = subprocess.run([bench.runner.farthing, "diff", first.folder, last.folder, "--json"], capture_output=True,
                          check=False, timeout=120)
    bench.expect(done.returncode == 0, "diff: exit code %d: %s", done.returncode, done.stderr.decode()[:500])
    told = json.loads(done.stdout)
    moved = collections.Counter()
    for output in outputs[1:]:
        for line in output.lines():
            terms = line["level"] if line["level"].endswith(" terms") else ""
            place = (line["step"], terms) if line["kind"] != "usage" else ""
            moved[(line["bill"], line["account"], line["product"], line["sku"], line["dimensions"], line["resource"],
                   line["kind"], place)] += num(line["amount"])
    moved = {key: amount for key, amount in moved.items() if amount}
    bench.expect(len(moved) == len(told["moved"]), "diff: %d amounts moved, and %d are told", len(moved), len(told["moved"]))
    sums = collections.Counter()
    for item in told["moved"]:
        parts = {name: num(item[name]) for name in ("usage", "price_version", "step", "term", "currency_rate", "other_bill")}
        difference = num(item["difference"])
        bench.expect(sum(parts.values()) == difference, "diff: %s do not add up to %s", parts, difference)
        bench.expect(num(item["after"]) - num(item["before"]) == difference, "diff: %s is no difference", item)
        bench.expect(is_repriced or not (parts["price_version"] or parts["term"]), "diff: no price has changed for %s", item)
        sums[tuple(item[name] for name in ("bill", "account", "product", "sku", "dimensions", "resource", "kind"))] += difference
    wanted = collections.Counter()
    for key, amount in moved.items():
        wanted[key[:-1]] += amount
    bench.expect({k: v for k, v in sums.items() if v} == {k: v for k, v in wanted.items() if v},
                 "diff: other amounts than the corrections have")
    bench.runner.counts["amounts explained"] += len(told["moved"])


def other_clocks(world, catalog, rng):
    """The catalog with other turns of the bills of some contracts: they begin, end, and are others."""
    catalog = copy.deepcopy(catalog)
    day = world.date(rng.randrange(*world.period) // times.DAY * times.DAY)
    for contract in catalog["contracts"]:
        if rng.random() < 0.3:
            continue
        contract.pop("billing", None)
        if rng.random() < 0.75:
            contract["billing"] = rng.choice([
                {"every": "month", "anchor": "contract"}, {"every": "week", "anchor": "contract"}, {"every": "quarter", "anchor": "contract"},
                {"every": "month", "anchor": day}, {"every": "10 days", "anchor": day}, {"every": "week"}, {"every": "month"},
                {"every": "quarter"}, {"every": "month", "zone": "Asia/Kolkata"}])
        if rng.random() < 0.15 and contract["from"] < day < contract.get("to", "9"):
            contract["to"] = day
    return catalog


def corrections(bench):
    """Closed and corrected twice is the same as fresh; each correction a second time writes nothing."""
    return close_and_correct(bench, cuts(bench), 0, repriced(bench))


def repriced(bench):
    """[the catalog of each round]: prices may change, and stay."""
    first, change = bench.world.catalog, bench.rng.choice([None, 1, 2])
    other = other_prices(bench.world, bench.rng) if change else None
    return [other if other and number >= change else first for number in range(ROUNDS)]


def late_clocks(bench):
    """Contracts' own billing is learned of late, once or twice, or not to be after all."""
    long, rng = copy.copy(bench), bench.rng
    long.world, periods = world_terms.long_world(bench.world, rng)
    one, two, three = (other_clocks(long.world, long.world.catalog, rng) for _ in range(ROUNDS))
    catalogs = rng.choice([[one, two, two], [one, one, two], [one, two, one], [one, two, three]])
    try:
        return close_and_correct(long, periods, rng.choice([0, 0, 1]), catalogs)
    except Refused:  # a turn begins before all that was billed
        return False


def long_corrections(bench):
    """The same over months that are closed one by one, with terms on clocks of a quarter, a year, a contract's year."""
    long = copy.copy(bench)
    long.world, periods = world_terms.long_world(bench.world, bench.rng)
    return close_and_correct(long, periods, bench.rng.choice([0, 0, 1]), repriced(long))


def late_periods(bench):
    """Late usage of a period that is too old is on no bill: as if it had never come.  Each event comes once, since which of two is too
    late decides what is accepted."""
    long, rng = copy.copy(bench), bench.rng
    long.world, periods = world_terms.long_world(bench.world, rng)
    world = long.world
    if any("spread" in meter or "carry" in meter or meter.get("aggregate") == "time_weighted" for meter in world.catalog["meters"].values()):
        return False  # what a late one does in later periods is another matter
    turns = rng.randrange(1, len(periods) - 1)
    world.catalog["billing"]["late_periods"] = Raw(str(turns))
    seen, lines = set(), []
    for line in world.lines:
        found = records_of(line)
        keys = {item[0] for item in found if item}
        if len(found) < 2 and not keys & seen:
            seen |= keys
            lines.append(line)
    world.lines = lines
    oldest = times.parse_period(periods[len(periods) - 1 - turns], world.catalog["billing"].get("zone"))[0]
    return close_and_correct(long, periods, 0, repriced(long), in_time(lines, oldest))


def in_time(lines, oldest):
    """What is left of late lines: without usage before an instant, and without withdrawals of such usage."""
    old = {item[0] for line in lines for item in records_of(line) if item and is_within(line, (times.MIN, oldest))}

    def keep(line):
        try:
            events = [Event(record) for record in read_line(line)]
        except Refused:
            return True
        for event in events:
            if event.type == WITHDRAWAL:
                data = json.loads(line)["data"]
                if (data.get("source"), data.get("id")) in old:
                    return False
            elif event.at < oldest:
                return False
        return True
    return lambda late: [line for line in late if keep(line)]


def months(bench):
    """Three or four months in one run are those of a run each, with the closing of the one before: the same lines, and the same closing."""
    long = copy.copy(bench)
    long.world, periods = world_terms.long_world(bench.world, bench.rng)
    world = long.world
    parts = bill_chain(long, "month", periods, world.lines, world.catalog)
    both = "%s/%s" % tuple(times.form(at) for at in world.period)
    whole = long.bill("months", catalog=world.catalog, lines=world.lines, period=both, options=["--opening", "none", "--threads", "2"])
    for name, apart in (("lines.csv", parts), ("closing.ndjson", parts[-1:])):
        alone = {line.decode() for part in apart for line in part.bytes[name].splitlines()}
        together = {line.decode() for line in whole.bytes[name].splitlines()}
        bench.expect(alone == together, "%s: months of their own have %s, one run has %s", name,
                     *(sorted(one - other)[:2] for one, other in ((alone, together), (together, alone))))
    return True


LASTING = ("shortfall", "overage", "minimum", "cap", "credit", "discount", "markup", "fee", "tax")


def close_and_correct(bench, periods, waiting, catalogs, in_time=None):
    """Some of the periods are closed when the first corrections have been made, with their closings; in_time: what is left of late
    lines, where some are too late."""
    world, rng, make_output = bench.world, bench.rng, type(bench.output)
    rounds = late_lines(world, rng, periods)
    chains = [[output] for output in bill_chain(bench, "closed", periods[:len(periods) - waiting], rounds[0], catalogs[0])]
    given, changed, compared, files = [], None, 0, {}
    if in_time:  # what is excluded says of it all why it is on no bill
        files = {"files": ("usage.csv", "closing.ndjson")}
    for number in range(1, ROUNDS):
        inputs = bench.inputs(world, bench.runner.path("late%d" % number), rounds[number], catalogs[number])
        given.append(inputs.events[0])
        if catalogs[number] is not catalogs[number - 1]:
            changed = inputs.catalogs[0]
        folders = [output.folder for chain in chains for output in chain]
        # What was not written is not remembered, so all that is late is given again.
        written = correct(bench, "round%d" % number, folders, given, changed, ["--threads", str(number)])
        for i, folder in written.items():
            chains[i].append(make_output(folder))
            bench.runner.counts["corrections"] += 1
        folders = [output.folder for chain in chains for output in chain]
        again = correct(bench, "again%d" % number, folders, given[::-1], changed,
                        ["--threads", "3", "--memory", "256MiB"])
        bench.expect(not again, "round %d: the same correction again writes %s", number, again)
        known, prices = what_is_accepted(rounds[:1] + [in_time(late) if in_time else late for late in rounds[1:number + 1]]), catalogs[number]
        for period in periods[len(chains):]:
            chains.append([bench.bill("later", catalog=prices, lines=known, period=period,
                                      options=["--opening", chains[-1][-1].folder + "/closing.ndjson"])])
        fresh = bill_chain(bench, "fresh%d-" % number, periods, known, prices)
        for i, output in enumerate(fresh):
            compared += compare(bench, "round %d, period %d" % (number, i), output, chains[i], **files)
            bench.runner.counts["too late"] += chains[i][-1].bytes["exclusions.csv"].count(b",LATE,")
    for chain in chains:
        if len(chain) > 1:
            diff(bench, chain[0], chain[-1], chain, changed)
    bench.runner.counts["corrected lines"] += compared
    if len(periods) > 2:
        count_lasting(bench, chains)
    return True


def late_lines(world, rng, periods):
    """Lines by the round that they come in; of several periods, some of the first in each."""
    rounds = [[] for _ in range(ROUNDS)]
    for line in world.lines:
        rounds[rng.choice([0, 0, 0, 1, 1, 2])].append(line)
    if len(periods) > 2:
        first = times.parse_period(periods[0], world.catalog["billing"].get("zone"))
        for late in rounds[1:]:
            early = [line for line in rounds[0] if is_within(line, first)]
            if early:
                line = rng.choice(early)
                rounds[0].remove(line)
                late.append(line)
    rounds[rng.randrange(1, ROUNDS)] += withdrawals(world, rng, rounds[0])
    return rounds


def is_within(line, period):
    try:
        return any(period[0] <= Event(record).at < period[1] for record in read_line(line))
    except Refused:
        return False


def count_lasting(bench, chains):
    """How many corrected bills and lines of what terms charge there are: figures that tell what was tried."""
    counts = bench.runner.counts
    counts["long chains"] += 1
    counts["long chains corrected in all but the last"] += all(len(chain) > 1 for chain in chains[:-1])
    for chain in chains:
        for output in chain[1:]:
            for line in output.lines():
                if line["kind"] in LASTING:
                    counts["lasting " + line["kind"]] += 1
