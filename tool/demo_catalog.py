#!/usr/bin/env python3
"""demo_catalog.py [FOLDER] - writes the long files of the demo catalog: products.yaml, rates.yaml.

The other files of examples/demo/catalog are written by hand.  The lists here are those of
src/exchange/generate.c; test/unit/generate_test.c sees to it that every SKU that is used is sold.
Rates are base x size x region, rounded to what a price list would show.
"""
import sys
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

SIZES = "small medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge".split()
LARGE_SIZES = SIZES + ["32xlarge", "48xlarge"]
VM_SIZES = "nano micro small medium large xlarge 2xlarge 4xlarge 8xlarge 16xlarge".split()
FACTORS = {"nano": "0.0625", "micro": "0.125", "small": "0.25", "medium": "0.5", "large": "1"}
REGIONS = {"us-east": "1", "us-west": "1.04", "eu-west": "1.08", "eu-central": "1.15",
           "ap-south": "1.06"}
COUNTRIES = "at au br ca ch cn de es fr gb in it jp mx nl pl se sg us za".split()

# Product: title, SKU prefix, unit, the two lists, names of the two lists when they are attributes.
PRODUCTS = [
    ("compute", "Virtual machines", "vm", "hour", "b1 b2 g1 g2 g3 c1 c2 c3 m1 m2".split(),
     VM_SIZES, ("family", "size")),
    ("compute", "Virtual machines", "vm", "hour", ["a1"],
     "xlarge 2xlarge 4xlarge 8xlarge 16xlarge 24xlarge".split(), ("family", "size")),
    ("disks", "Disks", "disk", "GB-month", "standard balanced ssd extreme".split(),
     ["zonal", "regional"], ("class", "copies")),
    ("object-storage", "Object storage", "storage", "GB-month",
     "standard infrequent archive deep intelligent express".split(), [], ()),
    ("storage-requests", "Storage requests", "requests", "request",
     "put get list copy select lifecycle restore delete".split(), [], ()),
    ("transfer", "Data transfer", "transfer", "GB",
     "internet region zone accelerated private peering satellite nat".split(), [], ()),
    ("functions", "Functions", "fn", "GB-second", ["compute"], ["x86", "arm"], ()),
    ("databases", "Databases", "db", "hour",
     "postgres mysql maria oracle sqlserver".split(), LARGE_SIZES, ("engine", "size")),
    ("database-storage", "Database storage", "dbstore", "GB-month",
     "ssd magnetic iops backup".split(), ["single", "multi"], ()),
    ("nosql", "Key-value store", "nosql", "unit", "read write stream restore".split(),
     ["standard", "infrequent"], ()),
    ("models", "Language models", "llm", "token",
     "aria-1 aria-2 aria-mini bolt-7b bolt-70b coral-s coral-m coral-l delta ember".split(),
     ["input", "cached", "output"], ("model", "kind")),
    ("models", "Language models", "llm", "token", ["embed-s", "embed-l"], ["input"],
     ("model", "kind")),
    ("media", "Images, speech and video", "media", "item",
     "image-std image-hd tts stt video-sd video-hd ocr translate moderate upscale".split(),
     ["standard", "priority"], ("task", "service")),
    ("queue", "Queues", "queue", "request",
     "standard fifo delay dead-letter topic filter".split(), [], ()),
    ("streams", "Streams", "stream", "hour", "provisioned on-demand extended fanout".split(),
     ["standard", "compact"], ()),
    ("cdn", "Content delivery", "cdn", "GB",
     "na eu asia sa oceania me africa in jp cn".split(), [], ()),
    ("dns", "Names", "dns", "query", "standard latency geo health".split(), [], ()),
    ("load-balancers", "Load balancers", "lb", "hour",
     "http tcp gateway classic internal global".split(), [], ()),
    ("network", "Network", "net", "hour",
     "ip vpn gateway endpoint firewall mirror".split(), [], ()),
    ("keys", "Keys", "kms", "key", "symmetric rsa ecc hsm".split(), [], ()),
    ("secrets", "Secrets", "secret", "secret", "standard rotated replica".split(), [], ()),
    ("monitoring", "Monitoring", "mon", "GB",
     "metrics logs traces alarms dashboards canaries events queries archive insights".split(),
     [], ()),
    ("kubernetes", "Kubernetes", "k8s", "hour", "cluster autopilot extended edge".split(), [], ()),
    ("containers", "Containers", "ct", "hour", ["vcpu", "memory"],
     "x86 arm windows spot".split(), ()),
    ("cache", "Cache", "cache", "hour", "m1 r1 t1 s1".split(), SIZES, ("family", "size")),
    ("search", "Search", "search", "hour", "data master warm".split(), LARGE_SIZES,
     ("role", "size")),
    ("warehouse", "Data warehouse", "wh", "hour", "dense balanced compute".split(), SIZES,
     ("family", "size")),
    ("pipelines", "Data pipelines", "etl", "hour",
     "spark python stream crawl quality catalog".split(), ["standard", "flex"], ()),
    ("backup", "Backup", "backup", "GB-month", "disk db file archive".split(),
     ["warm", "cold"], ()),
    ("registry", "Registry", "registry", "GB-month", "private public scan cross".split(), [], ()),
    ("messages", "Messages", "msg", "message", ["sms"], COUNTRIES, ("channel", "country")),
    ("messages", "Messages", "msg", "message", "email push voice".split(),
     ["standard", "dedicated"], ()),
]

# What no event names: the second meter of functions, and what plans sell.
MORE = {
    "functions": [("fn.requests", "request")],
    "support": [("support.developer", "month"), ("support.business", "month"),
                ("support.enterprise", "month")],
}
TITLES = {"support": "Support"}

# Tables of rates for an hour of size large in us-east: {name: (prefix, {of the first list: base})}.
RATES = {
    "vm_rates": ("vm", {"b1": "0.0832", "b2": "0.0752", "g1": "0.0960", "g3": "0.0816",
                        "c1": "0.0850", "c2": "0.0765", "c3": "0.0725", "m1": "0.1260",
                        "m2": "0.1134", "a1": "0.5030"}),
    "vm_g2_rates": ("vm", {"g2": "0.0896"}),
    "vm_g2_rates_cut": ("vm", {"g2": "0.0806"}),
    "db_rates": ("db", {"postgres": "0.1450", "mysql": "0.1360", "maria": "0.1360",
                        "oracle": "0.2940", "sqlserver": "0.4120"}),
    "cache_rates": ("cache", {"m1": "0.1560", "r1": "0.2060", "t1": "0.1360", "s1": "0.0980"}),
    "search_rates": ("search", {"data": "0.1670", "master": "0.1280", "warm": "0.0840"}),
    "warehouse_rates": ("wh", {"dense": "0.5430", "balanced": "0.3620", "compute": "0.2500"}),
}


def factor(size):
    return Decimal(FACTORS[size] if size in FACTORS else 2 * int(size.removesuffix("xlarge") or 1))


def rate(base, size, region):
    value = Decimal(base) * factor(size) * Decimal(REGIONS[region])
    places = Decimal("0.0001") if value >= Decimal("0.1") else Decimal("0.00001")
    return format(value.quantize(places, ROUND_HALF_UP).normalize(), "f")


def words(product):
    """(name, first word, second word) of each SKU."""
    _, _, prefix, _, first, second, _ = product
    return [(".".join([prefix, a] + ([b] if b else [])), a, b) for a in first
            for b in second or [""]]


def write_products(out):
    out.write("# Products and their SKUs: what is sold.  Written by tool/demo_catalog.py.\n\n"
              "products:\n")
    seen = set()
    names = list(dict.fromkeys([p[0] for p in PRODUCTS] + list(MORE)))
    for name in names:
        rows = [p for p in PRODUCTS if p[0] == name]
        title = rows[0][1] if rows else TITLES[name]
        out.write(f"  {name}:\n    title: {title}\n    skus:\n")
        for product in rows:
            for sku, a, b in words(product):
                assert sku not in seen, sku
                seen.add(sku)
                attributes = ""
                if product[6]:
                    pairs = zip(product[6], [a, b])
                    pairs = ", ".join(f"{key}: {value}" for key, value in pairs)
                    attributes = f", attributes: {{{pairs}}}"
                out.write(f"      {sku}: {{unit: {product[3]}{attributes}}}\n")
        for sku, unit in MORE.get(name, []):
            seen.add(sku)
            out.write(f"      {sku}: {{unit: {unit}}}\n")
    return len(seen)


def write_rates(out):
    out.write("# Rates of what has many sizes, by SKU and region.  Written by "
              "tool/demo_catalog.py.\n\ntables:\n")
    for name, (prefix, bases) in RATES.items():
        out.write(f"  {name}:\n    keys: [sku, region]\n    rows:\n")
        for product in PRODUCTS:
            if product[2] != prefix:
                continue
            for sku, a, b in words(product):
                for region in REGIONS if a in bases else []:
                    out.write(f"      - [{sku}, {region}, {rate(bases[a], b, region)}]\n")


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else
                  Path(__file__).resolve().parent.parent / "examples/demo/catalog")
    with open(folder / "products.yaml", "w", encoding="utf-8") as out:
        count = write_products(out)
    with open(folder / "rates.yaml", "w", encoding="utf-8") as out:
        write_rates(out)
    print(f"{count} SKUs in {folder}")


if __name__ == "__main__":
    main()
