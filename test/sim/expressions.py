"""The expressions that the generator writes: a small part of CEL over exact decimals."""
import re
from fractions import Fraction

import times
from exact import ceil_to, num, quantize


class Failure(Exception):
    """reason: FIELD_MISSING, FIELD_TYPE, EXPRESSION."""


TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d+)?)|\"((?:[^\"\\]|\\.)*)\"|([A-Za-z_][A-Za-z_0-9.]*)"
                   r"|(&&|\|\||==|!=|<=|>=|[-+*/%<>!?:(),\[\]]))")
LEVELS = [["||"], ["&&"], ["==", "!=", "<", "<=", ">", ">=", "in"], ["+", "-"], ["*", "/", "%"]]


def tokens(text):
    at, out = 0, []
    while at < len(text.rstrip()):
        match = TOKEN.match(text, at)
        if not match:
            raise ValueError("expression " + text)
        if match.group(1):
            out.append(("number", num(match.group(1))))
        elif match.group(2) is not None:
            out.append(("text", match.group(2)))
        else:
            out.append(("name" if match.group(3) else "sign", match.group(3) or match.group(4)))
        at = match.end()
    return out + [("end", "")]


class Parser:
    def __init__(self, text):
        self.tokens, self.at = tokens(text), 0

    def take(self, *signs):
        if self.tokens[self.at][1] in signs and self.tokens[self.at][0] in ("sign", "name"):
            self.at += 1
            return self.tokens[self.at - 1][1]
        return None

    def choice(self):
        test = self.level(0)
        if not self.take("?"):
            return test
        yes = self.choice()
        self.take(":")
        return ("?", test, yes, self.choice())

    def level(self, depth):
        if depth == len(LEVELS):
            return self.unary()
        left = self.level(depth + 1)
        while True:
            sign = self.take(*LEVELS[depth])
            if not sign:
                return left
            left = (sign, left, self.level(depth + 1))

    def unary(self):
        sign = self.take("-", "!")
        if sign:
            return ("neg" if sign == "-" else "!", self.unary())
        kind, value = self.tokens[self.at]
        self.at += 1
        if kind in ("number", "text"):
            return ("constant", value)
        if value == "(":
            inner = self.choice()
            self.take(")")
            return inner
        if value == "[":
            return ("list", *self.arguments("]"))
        if value in ("true", "false"):
            return ("constant", value == "true")
        if self.take("("):
            return ("call", value, *self.arguments(")"))
        return ("name", value)

    def arguments(self, end):
        out = []
        while not self.take(end):
            out.append(self.choice())
            self.take(",")
        return out


cache = {}


def parse(text):
    if text not in cache:
        cache[text] = Parser(text).choice()
    return cache[text]


class Held(str):
    """A dimension: a text that is the number it holds beside a number, or where one is wanted."""


def hold(values):
    out = []
    for value in values:
        if isinstance(value, Held):
            if not re.match(r"^-?\d+(\.\d+)?$", value):
                raise Failure("EXPRESSION")
            value = num(str(value))
        out.append(value)
    return out


def want(kind, *values):
    for value in values:
        if not isinstance(value, kind) or (kind is Fraction and isinstance(value, bool)):
            raise Failure("FIELD_TYPE")


def evaluate(tree, names):
    """names(path) gives a value or raises Failure."""
    op = tree[0]
    if op == "constant":
        return tree[1]
    if op == "name":
        return names(tree[1])
    if op == "list":
        return [evaluate(item, names) for item in tree[1:]]
    if op == "?":
        return evaluate(tree[2] if evaluate(tree[1], names) else tree[3], names)
    if op in ("&&", "||"):
        left = evaluate(tree[1], names)
        want(bool, left)
        if left == (op == "||"):
            return left
        right = evaluate(tree[2], names)
        want(bool, right)
        return right
    if op == "call":
        if tree[1] == "has":
            try:
                names(tree[2][1])
                return True
            except Failure:
                return False
        values = [evaluate(item, names) for item in tree[2:]]
        if tree[1] in ("in_calendar", "usage", "charges"):  # of the row's time, of its bucket
            return names(tree[1] + "(" + values[0])
        if tree[1] in ("lookup", "series"):
            return names((tree[1], *values))
        return call(tree[1], values)
    values = [evaluate(item, names) for item in tree[1:]]
    return operate(op, values)


def call(name, values):
    if name in ("min", "max", "round", "round_up", "floor", "ceil", "abs"):
        values = hold(values)
    if name in ("min", "max"):
        want(Fraction, *values)
        return min(values) if name == "min" else max(values)
    if name == "round":
        return quantize(values[0], int(values[1]) if len(values) > 1 else 0, values[2] if len(values) > 2 else "half_up")
    if name == "round_up":
        return ceil_to(*values)
    if name == "seconds":
        return Fraction(times.parse(values[1]) - times.parse(values[0]), times.NS)
    if name == "number":
        if isinstance(values[0], str):
            if not re.match(r"^-?\d+(\.\d+)?$", values[0]):
                raise Failure("FIELD_TYPE")
            return num(values[0])
        want(Fraction, *values)
        return values[0]
    if name in ("floor", "ceil", "abs"):
        want(Fraction, *values)
        return {"floor": lambda x: Fraction(x // 1), "ceil": lambda x: Fraction(-(-x // 1)),
                "abs": abs}[name](values[0])
    raise ValueError("function " + name)


def operate(op, values):
    if op == "!":
        want(bool, *values)
        return not values[0]
    if op == "neg":
        values = hold(values)
        want(Fraction, *values)
        return -values[0]
    if op in ("-", "*", "/", "%") or (op == "+" and any(isinstance(value, Fraction) for value in values)):
        values = hold(values)
    if op in ("==", "!=", "<", "<=", ">", ">=") and any(isinstance(value, Fraction) for value in values):
        try:
            values = hold(values)
        except Failure:  # it equals no number, and is neither less nor greater
            return op == "!="
    values = [str(value) if isinstance(value, Held) else value for value in values]
    left, right = values
    if op in ("==", "!="):
        if type(left) is not type(right):
            raise Failure("FIELD_TYPE")
        return (left == right) == (op == "==")
    if op == "in":
        return left in right
    if op == "+" and isinstance(left, str):
        want(str, right)
        return left + right
    if op in ("<", "<=", ">", ">=") and isinstance(left, str):
        want(str, right)
    else:
        want(Fraction, left, right)
    if op in ("/", "%") and right == 0:
        raise Failure("EXPRESSION")
    return {
        "+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right,
        "/": lambda: quantize(left / right), "<": lambda: left < right,
        "<=": lambda: left <= right, ">": lambda: left > right, ">=": lambda: left >= right,
        "%": lambda: left - right * int(left / right),
    }[op]()
