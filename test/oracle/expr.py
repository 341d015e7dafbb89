#!/usr/bin/python3
"""The oracle for expressions: random ones with what they come to, for test/unit/expr_test.c.

    expr.py SEED COUNT

prints lines of three fields with tabs between:

    EXPRESSION <tab> NAME=VALUE; NAME=VALUE ... <tab> RESULT

RESULT is the value as the language writes it, or "run FAULT" when evaluation fails, or "load" when the
expression must be refused before. The text is parsed here again, by the grammar of CEL, so
what is compared includes parsing. Nothing of Farthing is used: numbers are Python's
fractions, patterns its re, times its datetime, and the rules are CEL's as doc/expressions.md
states them.
"""
import json
import random
import re
import sys
from datetime import datetime, timedelta, timezone
from fractions import Fraction

HALF_EVEN = "half_even"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
TIME_MAX = 9214646400 * 10**9
DURATION_MAX = 2**63 - 1


class LoadError(Exception):
    pass


class RunError(Exception):
    pass


class Null:
    pass


class Other:
    pass


class Time(int):
    pass


class Duration(int):
    pass


NULL, OTHER, MISSING = Null(), Other(), None

# The names an expression may use: static type, and the values to draw from.
NUMBERS = ["0", "1", "-1", "2", "3", "7", "0.5", "-2.5", "1.005", "0.1", "3600", "7200", "100.25",
           "0.000000000000000001", "123456789012345678901234567890", "-99999999999999999999.5",
           "99999999999999999999999999999999999999"]
TEXTS = ["", "a", "A", "ab", "abc", "b", "vm.large", "running", "ä", "x y", "aab", "10", "-2.5",
         "2026-10-01T00:00:00Z", "1h30m", "bab", "\u20acb", "ABC"]
TIMES = ["2026-10-01T00:00:00Z", "2026-03-29T01:30:00.5Z", "1970-01-01T00:00:00Z",
         "2024-02-29T23:59:59Z"]
DURATIONS = ["0s", "90s", "1h30m", "-5m", "0.000000001s"]
NAMES = {
    "quantity": "number", "rate": "number", "sku": "text", "region": "text", "flag": "bool",
    "closed": "bool", "time": "time", "start": "time", "length": "duration",
    "data.a": "dynamic", "data.b": "dynamic", "data.c.d": "dynamic",
}

# ---- parsing -----------------------------------------------------------------------------------

TOKEN = re.compile(r"""
    (?P<blank>[ \t\n\f\r]+|//[^\n]*)
  | (?P<number>0[xX][0-9a-fA-F]+[uU]?|[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+|[0-9]+[uU]?)
  | (?P<text>r?"(?:[^"\\]|\\.)*"|r?'(?:[^'\\]|\\.)*')
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<sign>\|\||&&|==|!=|<=|>=|[-+*/%<>!?:.,()\[\]])
""", re.X | re.S)
LEVELS = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3, "+": 4,
          "-": 4, "*": 5, "/": 5, "%": 5}


def tokens_of(source):
    at, tokens = 0, []
    while at < len(source):
        match = TOKEN.match(source, at)
        if not match:
            raise LoadError("token")
        if match.lastgroup != "blank":
            tokens.append((match.lastgroup, match.group()))
        at = match.end()
    return tokens + [("end", "")]


def text_of(token):
    if token[0] == "r":
        return token[2:-1]
    simple = dict(zip('abfnrtv\\"\'`?', '\a\b\f\n\r\t\v\\"\'`?'))

    def escape(match):
        kind, code = match.group(1), match.group(2)
        return simple[kind] if kind in simple else chr(int(code, 8 if kind.isdigit() else 16))
    return re.sub(r"\\(?:([xX])([0-9a-fA-F]{2})|(u)([0-9a-fA-F]{4})|(U)([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))",
                  lambda m: chr(int(m.group(2) or m.group(4) or m.group(6), 16))
                  if m.group(1) or m.group(3) or m.group(5)
                  else chr(int(m.group(7), 8)) if m.group(7) else simple[m.group(8)],
                  token[1:-1])


def number_of(token):
    token = token.rstrip("uU") if not re.match("0[xX]", token) else token.rstrip("uU")
    if token[:2] in ("0x", "0X"):
        return fit(Fraction(int(token, 16)), LoadError)
    value = Fraction(token)
    whole = value * 10**18
    if whole.denominator != 1 or digits_of(value) > 38:
        raise LoadError("number")
    return value


class Parser:
    def __init__(self, source):
        self.tokens, self.at = tokens_of(source), 0

    def peek(self):
        return self.tokens[self.at][1]

    def take(self, sign):
        if self.tokens[self.at][0] in ("sign", "name") and self.peek() == sign:
            self.at += 1
            return True
        return False

    def expect(self, sign):
        if not self.take(sign):
            raise LoadError("expected " + sign)

    def whole(self):
        tree = self.choice()
        if self.tokens[self.at][0] != "end":
            raise LoadError("end")
        return tree

    def choice(self):
        condition = self.binary(1)
        if not self.take("?"):
            return condition
        middle = self.binary(1)
        self.expect(":")
        return ("?", condition, middle, self.choice())

    def binary(self, level):
        left = self.unary()
        while self.tokens[self.at][0] in ("sign", "name") and LEVELS.get(self.peek(), 0) >= level:
            op = self.peek()
            self.at += 1
            left = (op, left, self.binary(LEVELS[op] + 1))
        return left

    def unary(self):
        for sign in "!-":
            count = 0
            while self.take(sign):
                count += 1
            if count:
                tree = self.member()
                for _ in range(count):
                    tree = ("not" if sign == "!" else "negate", tree)
                return tree
        return self.member()

    def children(self, closing):
        children = []
        while not self.take(closing):
            if children:
                self.expect(",")
                if closing == "]" and self.take(closing):
                    break
            children.append(self.choice())
        return children

    def member(self):
        tree = self.primary()
        while True:
            if self.take("."):
                kind, name = self.tokens[self.at]
                if kind != "name":
                    raise LoadError("member")
                self.at += 1
                if self.take("("):
                    tree = ("call", name, [tree] + self.children(")"))
                elif tree[0] == "name":
                    tree = ("name", tree[1] + "." + name)
                else:
                    raise LoadError("member")
            else:
                return tree

    def primary(self):
        kind, token = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return ("value", number_of(token))
        if kind == "text":
            return ("value", text_of(token))
        if kind == "name":
            if token in ("true", "false"):
                return ("value", token == "true")
            if token == "null":
                return ("value", NULL)
            if token == "in":
                raise LoadError("in")
            if self.take("("):
                return ("call", token, self.children(")"))
            return ("name", token)
        if token == "(":
            tree = self.choice()
            self.expect(")")
            return tree
        if token == "[":
            return ("list", self.children("]"))
        raise LoadError("value")


# ---- types -------------------------------------------------------------------------------------

FUNCTIONS = {
    "startsWith": (["text", "text"], "bool"), "endsWith": (["text", "text"], "bool"),
    "contains": (["text", "text"], "bool"), "lower": (["text"], "text"),
    "upper": (["text"], "text"), "abs": (["number"], "number"), "ceil": (["number"], "number"),
    "floor": (["number"], "number"), "round_up": (["number", "number"], "number"),
}
SUMS = {
    "+": [("number", "number", "number"), ("text", "text", "text"), ("time", "duration", "time"),
          ("duration", "time", "time"), ("duration", "duration", "duration")],
    "-": [("number", "number", "number"), ("time", "duration", "time"),
          ("time", "time", "duration"), ("duration", "duration", "duration")],
}


def fits(have, wanted):
    return have in (wanted, "dynamic")


def need(is_fit):
    if not is_fit:
        raise LoadError("type")


def same(a, b):
    return a == b or "dynamic" in (a, b) or "null" in (a, b)


def type_of(tree, variables):
    """The static type; LoadError when there is none."""
    op = tree[0]
    if op == "value":
        return kind_of(tree[1])
    if op == "name":
        first = tree[1].split(".")[0]
        if first in variables:
            need(first == tree[1])
            return variables[first]
        need(tree[1] in NAMES)
        return NAMES[tree[1]]
    if op == "?":
        need(fits(type_of(tree[1], variables), "bool"))
        a, b = type_of(tree[2], variables), type_of(tree[3], variables)
        need(same(a, b))
        return a if a == b else "dynamic"
    if op == "call":
        return type_of_call(tree, variables)
    if op == "list":
        raise LoadError("list")
    if op == "in":
        a = type_of(tree[1], variables)
        need(tree[2][0] == "list")
        for element in tree[2][1]:
            need(same(a, type_of(element, variables)))
        return "bool"
    types = [type_of(child, variables) for child in tree[1:]]
    if op in ("||", "&&", "not"):
        need(all(fits(t, "bool") for t in types))
        return "bool"
    if op == "negate":
        need(types[0] in ("number", "dynamic", "duration"))
        return types[0]
    if op in ("==", "!="):
        need(same(*types))
        return "bool"
    if op in ("<", "<=", ">", ">="):
        need("null" not in types and same(*types))
        return "bool"
    if op in "+-":
        results = {r for a, b, r in SUMS[op] if fits(types[0], a) and fits(types[1], b)}
        need(results)
        return results.pop() if len(results) == 1 else "dynamic"
    need(all(fits(t, "number") for t in types))
    if op in "/%":
        need(tree[2] != ("value", 0))
    return "number"


def has_names(tree, variables):
    if tree[0] == "name":
        return tree[1] not in variables
    if tree[0] == "call" and tree[1] in ("exists", "all"):
        inner = variables | {tree[2][1][1]}
        return has_names(tree[2][0], variables) or has_names(tree[2][2], inner)
    children = tree[2] if tree[0] == "call" else tree[1] if tree[0] == "list" else tree[1:]
    return tree[0] != "value" and any(has_names(child, variables) for child in children)


def constant_of(tree, kind):
    need(not has_names(tree, set()))
    try:
        value = evaluate(tree, {}, {})
    except RunError:
        raise LoadError("constant")
    need(kind_of(value) == kind)
    return value


def type_of_call(tree, variables):
    name, args = tree[1], tree[2]
    if name in FUNCTIONS:
        wanted, result = FUNCTIONS[name]
        need(len(args) == len(wanted))
        for arg, kind in zip(args, wanted):
            need(fits(type_of(arg, variables), kind))
        return result
    if name in ("min", "max"):
        need(2 <= len(args) <= 16 and all(fits(type_of(a, variables), "number") for a in args))
        return "number"
    if name in ("exists", "all"):
        need(len(args) == 3 and args[0][0] == "list" and args[1][0] == "name")
        for kind in [type_of(element, variables) for element in args[0][1]] or ["dynamic"]:
            inner = {**variables, args[1][1]: kind}
            need(fits(type_of(args[2], inner), "bool"))
        return "bool"
    if name == "has":
        need(len(args) == 1 and args[0][0] == "name" and args[0][1] in NAMES)
        return "bool"
    if name == "size":
        need(len(args) == 1)
        if args[0][0] == "list":
            for element in args[0][1]:
                type_of(element, variables)
        else:
            need(fits(type_of(args[0], variables), "text"))
        return "number"
    if name == "matches":
        need(len(args) == 2 and fits(type_of(args[0], variables), "text"))
        constant_of(args[1], "text")
        return "bool"
    if name == "round":
        need(1 <= len(args) <= 3 and fits(type_of(args[0], variables), "number"))
        if len(args) > 1:
            digits = constant_of(args[1], "number")
            need(digits.denominator == 1 and 0 <= digits <= 18)
        if len(args) > 2:
            need(constant_of(args[2], "text") in ROUNDINGS)
        return "number"
    if name in ("hour", "weekday", "date"):
        need(len(args) == 1 and fits(type_of(args[0], variables), "time"))
        return "text" if name == "date" else "number"
    if name in ("timestamp", "duration", "number"):
        result = {"timestamp": "time"}.get(name, name)
        need(len(args) == 1 and type_of(args[0], variables) in (result, "text", "dynamic"))
        return result
    if name == "string":
        need(len(args) == 1 and type_of(args[0], variables) != "null")
        return "text"
    if name == "seconds":
        need(1 <= len(args) <= 2)
        types = [type_of(arg, variables) for arg in args]
        allowed = ("duration", "dynamic") if len(args) == 1 else ("time", "text", "dynamic")
        need(all(t in allowed for t in types))
        return "number"
    raise LoadError("function")


# ---- numbers -----------------------------------------------------------------------------------

def digits_of(value):
    """Significant digits of a finite decimal in its shortest form, zeros before the point counted."""
    scale = scale_of(value)
    return 39 if scale is None else len(str(abs(int(value * 10**scale))))


def scale_of(value):
    for scale in range(0, 80):
        if (value * 10**scale).denominator == 1:
            return scale
    return None


def fit(value, error=RunError):
    if value.denominator > 1 or abs(value.numerator) >= 10**38:
        scale = scale_of(value)
        if scale is None or scale > 36 or digits_of(value) > 38:
            raise error("EXPR_RANGE")
    return value


def round_half(value, is_even, towards_zero):
    whole, rest = divmod(abs(value), 1)
    up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and
                                   (whole % 2 == 1 if is_even else not towards_zero))
    return (int(whole) + up) * (1 if value >= 0 else -1)


ROUNDINGS = {
    "half_up": lambda v: round_half(v, False, False),
    "half_even": lambda v: round_half(v, True, False),
    "half_down": lambda v: round_half(v, False, True),
    "up": lambda v: -(-v // 1) if v >= 0 else v // 1,
    "down": lambda v: v // 1 if v >= 0 else -(-v // 1),
    "ceiling": lambda v: -(-v // 1),
    "floor": lambda v: v // 1,
}


def rounded(value, digits, mode):
    return fit(Fraction(ROUNDINGS[mode](value * 10**digits), 10**digits))


def number_text(value):
    scale = scale_of(value)
    sign, digits = "-" if value < 0 else "", str(abs(int(value * 10**scale))).rjust(scale + 1, "0")
    return sign + (digits[:-scale] + "." + digits[-scale:] if scale else digits)


# ---- evaluating --------------------------------------------------------------------------------

def kind_of(value):
    if value is MISSING:
        return "missing"
    if isinstance(value, bool):
        return "bool"
    for cls, kind in ((Fraction, "number"), (str, "text"), (Time, "time"), (Duration, "duration"),
                      (Null, "null")):
        if isinstance(value, cls):
            return kind
    return "other"


def want(is_fit):
    if not is_fit:
        raise RunError("EXPR_TYPE")


def wanted(value, kind):
    want(kind_of(value) == kind)
    return value


def equal(a, b):
    want(not (a is OTHER and b is OTHER))
    return kind_of(a) == kind_of(b) and (a is b or a == b)


def time_text(value):
    seconds, ns = divmod(value, 10**9)
    text = (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    for digits in (0, 3, 6, 9):
        if ns % 10**(9 - digits) == 0:
            return text + (".%0*d" % (digits, ns // 10**(9 - digits)) if digits else "") + "Z"


def time_of(text):
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z", text.upper())
    if not match:
        raise RunError("EXPR_VALUE")
    moment = datetime.strptime(match.group(1), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)
    since = moment - EPOCH
    return Time((since.days * 86400 + since.seconds) * 10**9 + int((match.group(2) or "0").ljust(9, "0")))


def duration_of(text):
    units = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}
    match = re.fullmatch(r"([+-]?)((?:\d+(?:\.\d+)?(?:h|ms|us|ns|m|s))+|0)", text)
    if not match:
        raise RunError("EXPR_VALUE")
    parts = re.findall(r"(\d+(?:\.\d+)?)(h|ms|us|ns|m|s)", match.group(2))
    total = sum((Fraction(n) * units[u] for n, u in parts), Fraction(0))
    if total.denominator != 1 or total > DURATION_MAX:
        raise RunError("EXPR_VALUE")
    return Duration(-total if match.group(1) == "-" else total)


def string_of(value):
    kind = kind_of(value)
    want(kind in ("text", "bool", "number", "time", "duration"))
    if kind == "duration":
        return number_text(Fraction(value, 10**9)) + "s"
    return {"text": str, "bool": lambda v: "true" if v else "false", "number": number_text,
            "time": time_text}[kind](value)


def number_from(text):
    if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", text):
        raise RunError("EXPR_VALUE")
    try:
        return number_of(text.lstrip("-")) * (-1 if text[0] == "-" else 1)
    except LoadError:
        raise RunError("EXPR_VALUE")


def arithmetic(op, a, b):
    kinds = (kind_of(a), kind_of(b))
    if kinds == ("number", "number"):
        if op in "/%" and b == 0:
            raise RunError("EXPR_ZERO")
        if op == "/":
            return rounded(a / b, 18, HALF_EVEN)
        if op == "%":
            return fit(a - b * int(a / b))
        return fit(a + b if op == "+" else a - b if op == "-" else a * b)
    for left, right, result in SUMS.get(op, []):
        if kinds == (left, right):
            if result == "text":
                return a + b
            value = int(a) + int(b) if op == "+" else int(a) - int(b)
            if result == "time":
                if not 0 <= value <= TIME_MAX:
                    raise RunError("EXPR_RANGE")
                return Time(value)
            if not -DURATION_MAX - 1 <= value <= DURATION_MAX:
                raise RunError("EXPR_RANGE")
            return Duration(value)
    raise RunError("EXPR_TYPE")


def compare(op, a, b):
    want(kind_of(a) == kind_of(b) and kind_of(a) in ("number", "text", "bool", "time", "duration"))
    if isinstance(a, str):
        a, b = a.encode(), b.encode()
    return {"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]


def logic(op, tree, names, variables):
    """CEL: the side that decides wins, over an error of the other side too."""
    decides = op == "||"
    sides = []
    for child in tree[1:]:
        try:
            value = evaluate(child, names, variables)
            if value is decides:
                return decides
            sides.append(value)
        except RunError as error:
            sides.append(error)
    return settle(op, sides)


def settle(op, sides):
    for side in sides:
        if isinstance(side, RunError):
            raise side
    want(all(isinstance(side, bool) for side in sides))
    return op == "&&"


def evaluate(tree, names, variables):
    op = tree[0]
    if op == "value":
        return tree[1]
    if op == "name":
        value = variables[tree[1]] if tree[1] in variables else names[tree[1]]
        if value is MISSING:
            raise RunError("EXPR_MISSING")
        return value
    if op in ("||", "&&"):
        return logic(op, tree, names, variables)
    if op == "?":
        truth = wanted(evaluate(tree[1], names, variables), "bool")
        return evaluate(tree[2] if truth else tree[3], names, variables)
    if op == "in":
        value = evaluate(tree[1], names, variables)
        return any([equal(value, evaluate(child, names, variables)) for child in tree[2][1]])
    if op == "call":
        return call(tree[1], tree[2], names, variables)
    values = [evaluate(child, names, variables) for child in tree[1:]]
    if op == "not":
        return not wanted(values[0], "bool")
    if op == "negate":
        want(kind_of(values[0]) in ("number", "duration"))
        return type(values[0])(-values[0])
    if op in ("==", "!="):
        return equal(*values) == (op == "==")
    if op in ("<", "<=", ">", ">="):
        return compare(op, *values)
    return arithmetic(op, *values)


def pattern_of(text):
    """Python's own form of a pattern; what differs is the end of text and \\s."""
    text = text.replace(r"\z", r"\Z").replace("$", r"\Z").replace(r"\s", r"[\t\n\f\r ]")
    return re.compile(text, re.ASCII)


def call(name, args, names, variables):
    if name == "has":
        return names[args[0][1]] is not MISSING
    if name in ("exists", "all"):
        elements = [evaluate(child, names, variables) for child in args[0][1]]
        op, sides = ("||", []) if name == "exists" else ("&&", [])
        for element in elements:
            try:
                value = evaluate(args[2], names, {**variables, args[1][1]: element})
                if value is (op == "||"):
                    return value
                sides.append(value)
            except RunError as error:
                sides.append(error)
        return settle(op, sides)
    if name == "size" and args[0][0] == "list":
        return Fraction(len([evaluate(child, names, variables) for child in args[0][1]]))
    values = [evaluate(child, names, variables) for child in args]
    if name in FUNCTIONS:
        for value, kind in zip(values, FUNCTIONS[name][0]):
            wanted(value, kind)
    first = values[0]
    if name == "startsWith":
        return first.startswith(values[1])
    if name == "endsWith":
        return first.endswith(values[1])
    if name == "contains":
        return values[1] in first
    if name in ("lower", "upper"):
        change = str.lower if name == "lower" else str.upper
        return "".join(change(c) if c.isascii() else c for c in first)
    if name == "abs":
        return abs(first)
    if name in ("ceil", "floor"):
        return rounded(first, 0, {"ceil": "ceiling"}.get(name, name))
    if name == "round_up":
        if values[1] <= 0:
            raise RunError("EXPR_ZERO")
        return fit(ROUNDINGS["up"](first / values[1]) * values[1])
    if name in ("min", "max"):
        for value in values:
            wanted(value, "number")
        return min(values) if name == "min" else max(values)
    if name == "size":
        return Fraction(len(wanted(first, "text")))
    if name == "matches":
        return pattern_of(values[1]).search(wanted(first, "text")) is not None
    if name == "round":
        digits = int(values[1]) if len(values) > 1 else 0
        return rounded(wanted(first, "number"), digits, values[2] if len(values) > 2 else "half_up")
    if name in ("hour", "weekday", "date"):
        moment = EPOCH + timedelta(seconds=wanted(first, "time") // 10**9)
        return (Fraction(moment.hour) if name == "hour" else
                Fraction(moment.isoweekday()) if name == "weekday" else moment.strftime("%Y-%m-%d"))
    if name in ("timestamp", "duration", "number"):
        if kind_of(first) == {"timestamp": "time"}.get(name, name):
            return first
        read = {"timestamp": time_of, "duration": duration_of, "number": number_from}[name]
        return read(wanted(first, "text"))
    if name == "string":
        return string_of(first)
    if len(values) == 1:
        return Fraction(wanted(first, "duration"), 10**9)
    want(all(kind_of(value) in ("time", "text") for value in values))
    start, end = (value if isinstance(value, Time) else time_of(value) for value in values)
    return Fraction(end - start, 10**9)


def shown(value):
    kind = kind_of(value)
    if kind == "text":
        return json.dumps(value, ensure_ascii=False)
    if kind in ("time", "duration"):
        word = "timestamp" if kind == "time" else "duration"
        return '%s("%s")' % (word, string_of(value))
    return {"null": "null", "other": "other", "missing": "missing"}.get(kind) or string_of(value)


def answer(source, names):
    try:
        tree = Parser(source).whole()
        type_of(tree, {})
    except LoadError:
        return "load"
    try:
        return shown(evaluate(tree, names, {}))
    except RunError as error:
        return "run " + str(error) if has_names(tree, set()) else "load"


# ---- random expressions ------------------------------------------------------------------------

class Generator:
    def __init__(self, rng):
        self.rng, self.variables = rng, []

    def pick(self, *options):
        return self.rng.choice(options)

    def name(self, kind):
        names = [name for name, k in NAMES.items() if k in (kind, "dynamic")] + self.variables
        return self.rng.choice(names)

    def pattern(self, depth):
        if depth <= 0 or self.rng.random() < 0.3:
            return self.pick("a", "b", "A", ".", "[ab]", "[^a]", r"\d", r"\w", r"\s", r"\W", "^", "$",
                             r"\b", "ä", "[a-c]", r"\.", "v", "m", "[ä-ü]", r"\z", r"\A")
        inner = self.pattern(depth - 1)
        kind = self.rng.randrange(7)
        if kind < 3:
            return inner + self.pattern(depth - 1)
        if kind == 3:
            return "(?:%s|%s)" % (inner, self.pattern(depth - 1))
        if kind == 4:
            return "(%s)" % inner
        repeat = self.pick("*", "+", "?", "{2}", "{1,}", "{0,2}", "*?")
        return "(?:%s)%s" % (inner, repeat)

    def literal(self, kind):
        if kind == "number":
            return self.pick("0", "1", "2", "3", "0.5", "10", "3600", "0.001", "1e3", "7u", "007", ".25",
                             "0x1F", "100", "12345678901234567890", "2.5", "1.005")
        if kind == "text":
            text = self.rng.choice(TEXTS)
            quote = self.pick('"', "'")
            body = text.replace("a", self.pick("a", "a", "\\x61", "\\u0061", "\\141"))
            return quote + body + quote
        if kind == "bool":
            return self.pick("true", "false")
        if kind == "time":
            return 'timestamp("%s")' % self.rng.choice(TIMES)
        if kind == "duration":
            return 'duration("%s")' % self.rng.choice(DURATIONS)
        return "null"

    def some(self, depth):
        return self.make(self.pick("number", "text", "bool", "time", "duration", "null"), depth)

    def listed(self, kind, depth):
        return "[%s]" % self.blank(",").join(self.make(kind, depth - 2)
                                             for _ in range(self.rng.randrange(4)))

    def blank(self, sign):
        return self.pick(sign, " " + sign + " ", sign + " ")

    def binary(self, kind, op, depth):
        return self.make(kind, depth - 1) + self.blank(op) + self.make(kind, depth - 1)

    def make(self, kind, depth):
        if self.rng.random() < 0.03:
            kind = self.pick("number", "text", "bool", "time", "duration", "null")
        if depth <= 0 or self.rng.random() < 0.12:
            return self.name(kind) if self.rng.random() < 0.6 else self.literal(kind)
        text = self.compound(kind, depth)
        return "(" + text + ")" if self.rng.random() < 0.45 else text

    def compound(self, kind, depth):
        r, m = self.rng, self.make
        if r.random() < 0.1:
            return "%s ? %s : %s" % (m("bool", depth - 1), m(kind, depth - 1), m(kind, depth - 1))
        if kind == "number":
            return r.choice([
                lambda: self.binary("number", self.pick("+", "-", "*", "/", "%"), depth),
                lambda: self.binary("number", self.pick("+", "-", "*", "/", "%"), depth),
                lambda: self.binary("number", self.pick("+", "-", "*", "/", "%"), depth),
                lambda: "-" + m("number", depth - 1),
                lambda: "%s(%s)" % (self.pick("abs", "ceil", "floor", "round"), m("number", depth - 1)),
                lambda: "round(%s, %d)" % (m("number", depth - 1), r.randrange(20)),
                lambda: "round(%s, %d, '%s')" % (m("number", depth - 1), r.randrange(19),
                                                 r.choice(sorted(ROUNDINGS))),
                lambda: "round_up(%s, %s)" % (m("number", depth - 1), m("number", depth - 2)),
                lambda: "%s(%s, %s)" % (self.pick("min", "max"), m("number", depth - 1),
                                        m("number", depth - 1)),
                lambda: "size(%s)" % m("text", depth - 1),
                lambda: "size(%s)" % self.listed(self.pick("number", "text"), depth),
                lambda: "number(%s)" % m("text", depth - 1),
                lambda: "%s.%s()" % (self.name("time"), self.pick("hour", "weekday")),
                lambda: "seconds(%s)" % m("duration", depth - 1),
                lambda: "seconds(%s, %s)" % (m("time", depth - 1), m("time", depth - 1)),
            ])()
        if kind == "text":
            return r.choice([
                lambda: self.binary("text", "+", depth),
                lambda: "%s(%s)" % (self.pick("lower", "upper", "string"), m("text", depth - 1)),
                lambda: "string(%s)" % self.some(depth - 1),
                lambda: "date(%s)" % m("time", depth - 1),
            ])()
        if kind == "bool":
            other = self.pick("number", "number", "text", "bool", "time", "duration")
            return r.choice([
                lambda: self.binary("bool", self.pick("&&", "||"), depth),
                lambda: self.binary("bool", self.pick("&&", "||"), depth),
                lambda: self.binary(other, self.pick("==", "!=", "<", "<=", ">", ">="), depth),
                lambda: self.binary(other, self.pick("==", "!=", "<", "<=", ">", ">="), depth),
                lambda: "!" + m("bool", depth - 1),
                lambda: "%s in %s" % (m(other, depth - 1), self.listed(other, depth)),
                lambda: "has(%s)" % self.name("dynamic"),
                lambda: self.name("dynamic") + self.pick(" == ", " != ") + "null",
                lambda: "%s.%s(%s)" % (self.name("text"), self.pick("startsWith", "endsWith", "contains"),
                                       m("text", depth - 1)),
                lambda: 'matches(%s, r"%s")' % (m("text", depth - 1), self.pattern(3)),
                lambda: self.macro(depth),
            ])()
        if kind == "time":
            return r.choice([
                lambda: m("time", depth - 1) + self.pick("+", " - ") + m("duration", depth - 1),
                lambda: m("duration", depth - 1) + " + " + m("time", depth - 1),
                lambda: "timestamp(%s)" % m("text", depth - 1),
            ])()
        if kind == "duration":
            return r.choice([
                lambda: self.binary("time", "-", depth),
                lambda: self.binary("duration", self.pick("+", "-"), depth),
                lambda: "-" + m("duration", depth - 1),
                lambda: "duration(%s)" % m("text", depth - 1),
            ])()
        return "null"

    def macro(self, depth):
        kind = self.pick("number", "text")
        elements = self.listed(kind, depth)
        variable = self.pick("x", "y")
        self.variables.append(variable)
        body = self.make("bool", depth - 2)
        self.variables.pop()
        return "%s.%s(%s, %s)" % (elements, self.pick("exists", "all"), variable, body)

    def value(self, kind):
        if kind == "dynamic":
            kind = self.pick("number", "number", "text", "bool", "missing", "null", "other")
        if kind == "number":
            return Fraction(self.rng.choice(NUMBERS))
        if kind == "text":
            return self.rng.choice(TEXTS)
        if kind == "bool":
            return self.rng.random() < 0.5
        if kind == "time":
            return time_of(self.rng.choice(TIMES))
        if kind == "duration":
            return duration_of(self.rng.choice(DURATIONS))
        return {"missing": MISSING, "null": NULL, "other": OTHER}[kind]


def main():
    rng = random.Random(int(sys.argv[1]))
    out = open(sys.stdout.fileno(), "w", encoding="utf-8", buffering=1 << 20)
    for _ in range(int(sys.argv[2])):
        generator = Generator(rng)
        kind = rng.choice(["number", "number", "bool", "bool", "text", "time", "duration"])
        if rng.random() < 0.1:
            source = '%s.matches(r"%s")' % (generator.literal("text"), generator.pattern(5))
        else:
            source = generator.make(kind, rng.randrange(1, 6))
        names = {name: generator.value(kind) for name, kind in NAMES.items()}
        used = "; ".join("%s=%s" % (name, shown(value)) for name, value in names.items())
        print(source, used, answer(source, names), sep="\t", file=out)


if __name__ == "__main__":
    main()
