#!/usr/bin/python3
"""The oracle for zones: what Python's zoneinfo says, as lines for test/unit/calendar_test.c.

    zones.py SEED COUNT

prints for every zone of /usr/share/zoneinfo, for the same zones compiled to the slim form
(where there is a zic), and for TZ strings that no real zone has:

    z NAME HEX                  the TZif bytes
    t SECOND OFFSET             the offset in force at an instant
    c Y M D h m s SECOND        the instant of a civil time: the first of two, the change for
                                one that is skipped

COUNT is the number of random instants and of random civil times of each zone.  Nothing of
Farthing is used here; zoneinfo's own reading of the file decides, or glibc's where zoneinfo errs.
"""
import io
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, _common, _zoneinfo

ROOT = "/usr/share/zoneinfo"
EPOCH = datetime(1970, 1, 1)
EPOCH_UTC = EPOCH.replace(tzinfo=timezone.utc)
SECOND_1970, SECOND_2200, SECOND_2262 = 0, 7258118400, 9214646400
SECOND_1678 = -9214560000

# POSIX forms and RFC 8536's extensions; daylight time all year in both spellings.
FOOTERS = [
    "UTC0", "EST5", "<+03>-3", "<-0330>3:30", "<+1234>-12:34:56", "XXX23:59:59", "XXX-23:59",
    "EST5EDT,M3.2.0,M11.1.0", "CET-1CEST,M3.5.0,M10.5.0/3", "IST-1GMT0,M10.5.0,M3.5.0/1",
    "<-03>3<-02>,M3.5.0/-2,M10.5.0/-1", "<-02>2<-01>,M3.4.4/50,M10.4.4/50",
    "EET-2EEST,J60/0,J300", "EET-2EEST,J61/24,J365/23",
    "AEST-10AEDT,M10.1.0,M4.1.0/3", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "IST-2IDT,M3.4.4/26,M10.5.0", "XXX3YYY1:15,M1.1.1/167,M12.5.6/-167",
    "EST5EDT4,0/0,J365/25", "XXX3EDT4,0/0,J365/23", "<-04>4<-03>,M9.1.6/24,M4.1.6/24",
    "AAA-12BBB-14,J1/-24,J365/24", "NZST-12NZDT,M9.5.0,M4.1.0/3",
]
# Days counted from 0, 28 February as J59, seconds of a negative time: zoneinfo errs here, so
# glibc answers.
FOOTERS_OF_LIBC = [
    "EET-2EEST,59/0,300/25:30:15", "EET-2EEST,J59,J300", "AAA0BBB-0:30,58/100,200/-100:00:01",
    "AEST-10AEDT,300/1,60/3", "AAA0BBB-0:30,J100,J200/-100:00:01",
]


class Libc(tzinfo):
    """A zone by the C library's own reading of a TZ string."""

    def __init__(self, footer):
        os.environ["TZ"] = footer
        time.tzset()

    def at(self, second):
        return time.localtime(second).tm_gmtoff

    def fromutc(self, moment):
        second = seconds_of(moment.replace(tzinfo=None) - EPOCH)
        offset = timedelta(seconds=self.at(second))
        wall = (moment + offset).replace(fold=0)
        return wall if self.utcoffset(wall) == offset else wall.replace(fold=1)

    def utcoffset(self, moment):
        wall = seconds_of(moment.replace(tzinfo=None) - EPOCH)
        offsets = {self.at(wall + step) for step in (-90000, 90000)}
        right = sorted(wall - offset for offset in offsets if self.at(wall - offset) == offset)
        if right:
            return timedelta(seconds=wall - right[-1 if moment.fold else 0])
        # Skipped: as PEP 495 has it, the offset before the change, and with a fold that after.
        return timedelta(seconds=max(offsets) if moment.fold else min(offsets))

    def dst(self, moment):
        return None


def footer_file(footer):
    """A TZif file that says everything in its footer."""
    header = b"TZif2" + bytes(15) + struct.pack(">6L", 0, 0, 0, 0, 1, 4)
    standard = footer_offset(footer)
    data = struct.pack(">lbb", standard, 0, 0) + b"LMT\0"
    return (header + data) * 2 + b"\n" + footer.encode() + b"\n"


def footer_offset(footer):
    """Seconds east of the standard time of a TZ string."""
    rest = footer[footer.index(">") + 1:] if footer[0] == "<" else footer.lstrip(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    size = 0
    while size < len(rest) and rest[size] in "+-:0123456789":
        size += 1
    sign = -1 if rest[0] == "-" else 1
    parts = [int(part) for part in rest[:size].lstrip("+-").split(":")] + [0, 0]
    return -sign * (parts[0] * 3600 + parts[1] * 60 + parts[2])


def offset_at(zone, second):
    moment = EPOCH_UTC + timedelta(seconds=second)
    return seconds_of(moment.astimezone(zone).utcoffset())


def seconds_of(delta):
    return delta.days * 86400 + delta.seconds


def instant_of(zone, civil):
    wall = seconds_of(civil - EPOCH)
    before = wall - seconds_of(civil.replace(tzinfo=zone, fold=0).utcoffset())
    after = wall - seconds_of(civil.replace(tzinfo=zone, fold=1).utcoffset())
    if before + offset_at(zone, before) == wall:
        return before  # the only one, or the first of two
    low, high = min(before, after), max(before, after)
    offset = offset_at(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        if offset_at(zone, middle) == offset:
            low = middle
        else:
            high = middle
    return high


def changes_in_year(zone, year):
    """The instants in a year at which the offset changes, found by looking at each day."""
    found = []
    start = seconds_of(datetime(year, 1, 1) - EPOCH)
    for day in range(366):
        low, high = start + day * 86400, start + (day + 1) * 86400
        offset = offset_at(zone, low)
        if offset_at(zone, high) == offset:
            continue
        while high - low > 1:
            middle = (low + high) // 2
            if offset_at(zone, middle) == offset:
                low = middle
            else:
                high = middle
        found.append(high)
    return found


def print_zone(name, data, full, count, out):
    """full is the file to ask; data is the one that is handed out."""
    if name[7:] in FOOTERS_OF_LIBC:
        zone = Libc(name[7:])
    elif name.startswith("footer:"):
        # The reader in C loses its way in some rules, now and then.
        zone = _zoneinfo.ZoneInfo.from_file(io.BytesIO(data), key=name)
    else:
        zone = ZoneInfo.from_file(io.BytesIO(full), key=name)
    choose = random.Random(f"{SEED} {name}")
    table = list(_common.load_data(io.BytesIO(data))[1])
    # zoneinfo and RFC 8536 differ on what holds before the first transition.
    first = max(table[0] if table else SECOND_1678, SECOND_1678)
    changes = [at for at in table if first < at < SECOND_2262]
    for year in choose.sample(range(2026, 2200), max(1, count // 20)) + [2261]:
        changes += changes_in_year(zone, year)
    seconds = [at + step for at in changes for step in (-1, 0, 1)]
    seconds += [choose.randrange(max(first, SECOND_1970), SECOND_2200) for _ in range(count)]
    out.append(f"z {name} {data.hex()}")
    civils = []
    for second in seconds:
        offset = offset_at(zone, second)
        out.append(f"t {second} {offset}")
    for at in changes:
        old, new = offset_at(zone, at - 1), offset_at(zone, at)
        low, high = at + min(old, new), at + max(old, new)
        civils += [low - 1, low, (low + high) // 2, high - 1, high, choose.randrange(low, high + 1)]
    for _ in range(count):
        civils.append(choose.randrange(max(first, SECOND_1970) + 86400, SECOND_2200))
    for wall in civils:
        civil = EPOCH + timedelta(seconds=wall)
        at = instant_of(zone, civil)
        out.append(f"c {civil.year} {civil.month} {civil.day} {civil.hour} {civil.minute} "
                   f"{civil.second} {at}")


def zones_of(root):
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders[:] = [name for name in folders if name not in ("posix", "right")]
        folders.sort()
        for file in sorted(files):
            path = os.path.join(folder, file)
            with open(path, "rb") as opened:
                data = opened.read()
            if data.startswith(b"TZif"):
                yield os.path.relpath(path, root), data


def main():
    count = int(sys.argv[2])
    zones = [("footer:" + footer, footer_file(footer)) for footer in FOOTERS + FOOTERS_OF_LIBC]
    zones += list(zones_of(ROOT))
    # The zic of glibc 2.36 leaves out of this slim file a transition that zoneinfo would need.
    instead = {"slim:America/Ojinaga": dict(zones).get("America/Ojinaga")}
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(ROOT, "tzdata.zi")
        for zic in ("/usr/sbin/zic", "/usr/bin/zic"):
            if os.path.exists(zic) and os.path.exists(source):
                subprocess.run([zic, "-b", "slim", "-d", folder, source], check=True,
                               stderr=subprocess.DEVNULL)
                zones += [("slim:" + name, data) for name, data in zones_of(folder)]
                break
    # Names of one zone have the same bytes: only the first is asked in full.
    seen = set()
    for name, data in zones:
        out = []
        print_zone(name, data, instead.get(name) or data,
                   count if data not in seen else max(1, count // 10), out)
        seen.add(data)
        sys.stdout.write("\n".join(out) + "\n")


SEED = sys.argv[1]
main()
