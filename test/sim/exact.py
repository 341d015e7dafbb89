"""Exact numbers as fractions, rounding, and plain decimal text."""
from fractions import Fraction

SCALE = 18


def num(text):
    """A number as it was written: "1.50", 3, "-2e3" (JSON allows exponents)."""
    if isinstance(text, Fraction):
        return text
    return Fraction(str(text))


def quantize(x, digits=SCALE, mode="half_even"):
    """The multiple of 10^-digits that the mode chooses."""
    unit = 10 ** digits
    scaled = x * unit
    low, rest = divmod(scaled.numerator, scaled.denominator)
    if rest == 0:
        return Fraction(low, unit)
    twice = 2 * rest - scaled.denominator  # against one half
    up = {
        "half_even": twice > 0 or (twice == 0 and low % 2 == 1),
        "half_up": twice > 0 or (twice == 0 and x > 0),
        "half_down": twice > 0 or (twice == 0 and x < 0),
        "up": x > 0,
        "down": x < 0,
        "ceiling": True,
        "floor": False,
    }[mode]
    return Fraction(low + up, unit)


def quantize_line(x, kind, digits, mode):
    """A line's amount; what takes another line back is minus what that one is."""
    return -quantize(-x, digits, mode) if kind == "negation" else quantize(x, digits, mode)


def ceil_to(x, step):
    """The smallest multiple of step that is not below x."""
    return -((-x) // step) * step


def plain(x):
    """Plain decimal notation without zeros at the end; x has a finite one."""
    x = Fraction(x)
    scale, denominator = 0, x.denominator
    for prime in (2, 5):
        power = 0
        while denominator % prime == 0:
            denominator //= prime
            power += 1
        scale = max(scale, power)
    if denominator != 1:
        return "%s/%s" % (x.numerator, x.denominator)
    digits = str(abs(x.numerator) * 10 ** scale // x.denominator).rjust(scale + 1, "0")
    sign = "-" if x < 0 else ""
    if scale == 0:
        return sign + digits
    return sign + digits[:-scale] + "." + digits[-scale:]
