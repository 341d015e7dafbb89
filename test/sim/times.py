"""Instants in nanoseconds, civil time, clocks whose turns tile time."""
import datetime
import functools
import re
import zoneinfo

NS = 10 ** 9
HOUR = 3600 * NS
DAY = 24 * HOUR
MIN, MAX = 0, 9214646400 * NS
EPOCH = datetime.date(1970, 1, 1).toordinal()

RFC3339 = re.compile(
    r"^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)?$")


class TimeFault(Exception):
    pass


def parse(text):
    """RFC 3339 with a zone designator to an instant."""
    match = RFC3339.match(text)
    if not match:
        raise TimeFault("TIME_SYNTAX")
    year, month, day, hour, minute, second = (int(g) for g in match.groups()[:6])
    fraction, zone = match.group(7) or "", match.group(8)
    try:
        days = datetime.date(year, month, day).toordinal() - EPOCH
    except ValueError:
        raise TimeFault("TIME_SYNTAX") from None
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second)):
        raise TimeFault("TIME_SYNTAX")
    if len(fraction.rstrip("0")) > 9:
        raise TimeFault("TIME_SYNTAX")
    if zone is None:
        raise TimeFault("TIME_ZONE")
    at = days * DAY + (hour * 3600 + minute * 60 + second) * NS
    at += int((fraction + "0" * 9)[:9]) if second < 60 else 0
    if zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        at -= (offset if zone[0] == "+" else -offset) * NS
    if not MIN <= at < MAX:
        raise TimeFault("TIME_RANGE")
    return at


def epoch(seconds):
    """Seconds since 1970, to the nanosecond."""
    at = seconds * NS
    if at.denominator != 1:
        raise TimeFault("TIME_SYNTAX")
    if not MIN <= at < MAX:
        raise TimeFault("TIME_RANGE")
    return int(at)


def form(at):
    """UTC, with as many digits of fraction as are needed."""
    days, rest = divmod(at, DAY)
    date = datetime.date.fromordinal(days + EPOCH)
    seconds, fraction = divmod(rest, NS)
    text = "%sT%02d:%02d:%02d" % (date.isoformat(), seconds // 3600, seconds // 60 % 60,
                                  seconds % 60)
    if fraction:
        digits = "%09d" % fraction
        while digits.endswith("000"):
            digits = digits[:-3]
        text += "." + digits
    return text + "Z"


@functools.lru_cache(None)
def zone_of(name):
    return zoneinfo.ZoneInfo(name or "UTC")


def civil(at, zone):
    """(date ordinal, nanoseconds of the day) on the wall clock of a zone."""
    if not zone or zone == "UTC":
        days, rest = divmod(at, DAY)
        return days + EPOCH, rest
    seconds = at // NS
    moment = datetime.datetime.fromtimestamp(seconds, zone_of(zone))
    rest = (moment.hour * 3600 + moment.minute * 60 + moment.second) * NS + at % NS
    return moment.toordinal(), rest


@functools.lru_cache(100000)
def instant(ordinal, rest, zone):
    """The instant of a wall-clock time: repeated: the first; skipped: the instant of the change."""
    wall = (ordinal - EPOCH) * DAY + rest
    if not zone or zone == "UTC":
        return wall
    date = datetime.date.fromordinal(ordinal)
    seconds = rest // NS
    moment = datetime.datetime(date.year, date.month, date.day, seconds // 3600,
                               seconds // 60 % 60, seconds % 60, tzinfo=zone_of(zone), fold=0)
    at = wall - round(moment.utcoffset().total_seconds()) * NS
    if civil(at, zone) == (ordinal, rest):
        return at
    # Skipped: look for the first instant whose wall clock is past the wanted one.
    low, high = at - DAY, at + DAY
    while low + 1 < high:
        middle = (low + high) // 2
        if civil(middle, zone) > (ordinal, rest):
            high = middle
        else:
            low = middle
    return high


def parse_date(text, zone=None):
    """A date (midnight in the zone) or a full time."""
    text = str(text)
    if re.match(r"^\d{4}-\d\d-\d\d$", text):
        return instant(datetime.date.fromisoformat(text).toordinal(), 0, zone)
    return parse(text)


def add_months(ordinal, months):
    date = datetime.date.fromordinal(ordinal)
    index = date.year * 12 + date.month - 1 + months
    year, month = divmod(index, 12)
    last = (datetime.date(year + (month == 11), (month + 1) % 12 + 1, 1)
            - datetime.timedelta(1)).day
    return datetime.date(year, month + 1, min(date.day, last)).toordinal()


class Clock:
    """Turns start at anchor + k x count units of civil time in the zone."""
    MONTHS = {"month": 1, "quarter": 3, "year": 12}
    DAYS = {"day": 1, "week": 7}

    def __init__(self, every, count=1, anchor=None, zone=None):
        self.every, self.count, self.zone = every, count, zone
        if anchor is None:
            first = datetime.date(1970, 1, 5 if every == "week" else 1)
            self.anchor = (first.toordinal(), 0)
        else:
            self.anchor = civil(anchor, zone)

    def start(self, k):
        ordinal, rest = self.anchor
        if self.every == "hour":
            return instant(ordinal, rest, self.zone) + k * self.count * HOUR
        if self.every in self.DAYS:
            ordinal += k * self.count * self.DAYS[self.every]
        else:
            ordinal = add_months(ordinal, k * self.count * self.MONTHS[self.every])
        return instant(ordinal, rest, self.zone)

    def turn(self, at):
        """The (from, to) that holds an instant."""
        return cached_turn(self, at)

    def __eq__(self, other):
        return self.key() == other.key()

    def __hash__(self):
        return hash(self.key())

    def key(self):
        return self.every, self.count, self.anchor, self.zone

    def find_turn(self, at):
        if self.every == "always":
            return MIN, MAX
        size = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "quarter": 91 * DAY,
                "year": 365 * DAY}[self.every] * self.count
        k = (at - instant(self.anchor[0], self.anchor[1], self.zone)) // size
        while self.start(k) > at:
            k -= 1
        while self.start(k + 1) <= at:
            k += 1
        return self.start(k), self.start(k + 1)


@functools.lru_cache(1 << 16)
def cached_turn(clock, at):
    return clock.find_turn(at)


def parse_period(text, zone=None):
    """2026-10, 2026-10-05, 2026-W40, 2026-Q4, 2026, FROM/TO."""
    if "/" in text:
        return tuple(parse_date(part, zone) for part in text.split("/"))
    if "W" in text:
        first = datetime.date.fromisocalendar(int(text[:4]), int(text[6:]), 1).toordinal()
        return instant(first, 0, zone), instant(first + 7, 0, zone)
    if "Q" in text:
        first = datetime.date(int(text[:4]), int(text[6]) * 3 - 2, 1).toordinal()
        return instant(first, 0, zone), instant(add_months(first, 3), 0, zone)
    first = datetime.date.fromisoformat((text + "-01-01")[:10]).toordinal()
    if len(text) == 10:
        last = first + 1
    else:
        last = add_months(first, {4: 12, 7: 1}[len(text)])
    return instant(first, 0, zone), instant(last, 0, zone)
