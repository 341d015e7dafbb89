"""A cost and usage report: the lines of a month, the rates on them, and what kind of line each is.

    usage_MONTH.csv[.gz]   id, account, type, start_hour, product, usage_type, operation, resource, usage_amount,
                           rate_key, unblended_rate, unblended_cost, ...
    rates.csv              rate_key, unblended_rate, description, unit, sku, ..., public_on_demand_rate
    ri_fees_MONTH.csv, ri_usage_MONTH.csv: see reservations.py

A line that a reservation paid (DiscountedUsage), and the fee of one (RIFee), are kept apart; taxes or credits are no
usage, and only counted.  A line was free when its rate is zero and the
public one is not, or when the rate is described as free."""
import csv
import gzip
import os
import re
from decimal import Decimal

FREE = re.compile(r"free tier|\b(is|are) free\b|- first \d+ metrics", re.IGNORECASE)


class Line:
    def __init__(self, row, rates):
        self.id = row["id"]
        self.account = row["account"]
        self.hour = row["start_hour"]
        self.product = row["product"]
        self.sku = row["usage_type"] + "/" + row["operation"]
        self.usage_type, self.operation = row["usage_type"], row["operation"]
        self.resource = row["resource"]
        self.amount_text = row["usage_amount"]
        self.amount = Decimal(row["usage_amount"])
        self.cost = Decimal(row["unblended_cost"])
        self.rate = rates[row["rate_key"]]
        self.unit_rate = Decimal(row["unblended_rate"]) if row["unblended_rate"] else None  # spot: none
        public = self.rate["public_on_demand_rate"]
        self.is_free = self.unit_rate == 0 and (bool(public and Decimal(public)) or
                                                FREE.search(self.rate["description"]) is not None)

    @property
    def key(self):
        return self.account, self.sku, self.resource, self.hour


def open_text(folder, name):
    path = os.path.join(folder, name)
    if os.path.exists(path):
        return open(path, newline="", encoding="utf-8")
    return gzip.open(path + ".gz", "rt", newline="", encoding="utf-8")


class Report:
    def __init__(self, folder, month):
        with open_text(folder, "rates.csv") as file:
            self.rates = {row["rate_key"]: row for row in csv.DictReader(file)}
        self.month = month
        self.lines, self.covered_lines, self.fee_lines, self.others = [], [], [], {}
        with open_text(folder, "usage_%s.csv" % month) as file:
            for row in csv.DictReader(file):
                if row["type"] == "DiscountedUsage":
                    self.covered_lines.append(Line(row, self.rates))
                elif row["type"] == "RIFee":
                    self.fee_lines.append(Line(row, self.rates))
                elif row["type"] != "Usage":
                    self.others[row["type"]] = self.others.get(row["type"], 0) + 1
                else:
                    self.lines.append(Line(row, self.rates))
        self.accounts = sorted({line.account for line in self.lines + self.covered_lines + self.fee_lines})
        self.fee_rows, self.cover_rows = [], []
        if self.covered_lines or self.fee_lines:
            self.fee_rows = self.read(folder, "ri_fees_%s.csv")
            self.cover_rows = self.read(folder, "ri_usage_%s.csv")
        self.covered_by = {(line.id, line.hour): line for line in self.covered_lines}

    def read(self, folder, name):
        with open_text(folder, name % self.month) as file:
            return list(csv.DictReader(file))


def report_is_there(folder, month):
    return all(os.path.exists(os.path.join(folder, name)) or os.path.exists(os.path.join(folder, name + ".gz"))
               for name in ("rates.csv", "usage_%s.csv" % month))
