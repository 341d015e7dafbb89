#!/usr/bin/env python3
"""Holds doc/catalog.schema.json against the catalogs of test/table/catalog, examples/, its deals and the manual.

A catalog that loads must be valid.  Of those that do not load, the ones named below are wrong in their shape, so the schema
must find at least so many mistakes in them; what is wrong in others (names, overlaps, units) no schema can see.
Exits with 77 when python3-jsonschema or python3-yaml is not installed.
"""

import json
import re
import sys
from pathlib import Path

try:
    import yaml
    from jsonschema import Draft202012Validator
except ImportError:
    sys.exit(77)

SOURCE = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
TABLE = SOURCE / "test/table/catalog"
# The mistakes that the schema sees in each; found by hand in the .expect files.
SHAPELESS = {"cover.yaml": 10, "keys.yaml": 14, "numbers.yaml": 13, "tiers.yaml": 4, "steps.yaml": 19, "csv.yaml": 6,
             "time.yaml": 5, "list.yaml": 1, "names.yaml": 6}


class Loader(yaml.SafeLoader):
    """YAML 1.2's core types, as an editor's language server has them: no dates, no yes and no."""


Loader.yaml_implicit_resolvers = {}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(~|null|)$"), ["~", "n", ""])
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^[-+]?(0|[1-9][0-9]*)$"),
                             list("-+0123456789"))
Loader.add_implicit_resolver("tag:yaml.org,2002:float",
                             re.compile(r"^[-+]?(0|[1-9][0-9]*)\.[0-9]+$"), list("-+0123456789"))
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def leaves(errors):
    """The mistakes themselves: below an anyOf, those of the branch that came nearest."""
    found = set()
    for error in errors:
        branches = {}
        for inner in error.context or []:
            branches.setdefault(inner.schema_path[0], []).append(inner)
        if branches:
            found |= min((leaves(b) for b in branches.values()), key=len)
        else:
            found.add((tuple(error.absolute_path), error.validator))
    return found


def main():
    schema = json.loads((SOURCE / "doc/catalog.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    wrong = []

    def undescribed(part, path):
        if isinstance(part, dict):
            for name, child in part.get("properties", {}).items() if isinstance(
                    part.get("properties"), dict) else []:
                if "description" not in child and not (
                        "$ref" in child and "description" in schema["$defs"][child["$ref"][8:]]):
                    wrong.append(f"{path}/{name} has no description")
            for name, child in part.items():
                undescribed(child, f"{path}/{name}")
        elif isinstance(part, list):
            for i, child in enumerate(part):
                undescribed(child, f"{path}/{i}")

    undescribed(schema, "")
    good = 0
    files = [(p, (TABLE / (p.stem + ".expect")).read_text(encoding="utf-8"))
             for p in sorted(TABLE.glob("*.yaml"))]
    files += [(p, "") for p in sorted((SOURCE / "examples").glob("**/catalog/*.y*ml"))]
    documents = []
    for path, expected in files:
        loads = not re.search(r": error ", expected)
        if loads or path.name in SHAPELESS:
            documents.append((path.name, path.read_text(encoding="utf-8"), loads))
    doc = SOURCE / "doc"
    for page in (doc / "catalog.md", doc / "pricing.md", *sorted(doc.glob("pricing/*.md"))):
        text = page.read_text(encoding="utf-8")
        for i, block in enumerate(re.findall(r"^```yaml\n(.*?)^```", text, re.M | re.S)):
            documents.append((f"{page.name} block {i + 1}", block, True))
    documents = [(name, yaml.load(text, Loader), loads) for name, text, loads in documents]
    for path in sorted((SOURCE / "examples/deals").glob("*.yaml")):
        catalog = yaml.load(path.read_text(encoding="utf-8"), Loader)["catalog"]
        documents.append((path.name, {"catalog": "a", "currency": "USD"} | catalog, True))
    for name, document, loads in documents:
        errors = leaves(validator.iter_errors(document))
        if loads and errors:
            wrong += [f"{name}: a good catalog is called wrong: {e}" for e in sorted(errors, key=str)]
        elif not loads and len(errors) < SHAPELESS[name]:
            wrong.append(f"{name}: {len(errors)} mistakes found, {SHAPELESS[name]} were planted: "
                         + "; ".join(sorted(map(str, errors))))
        good += loads
    print(f"schema: {good} good catalogs valid, {len(documents) - good} bad ones refused")
    for line in wrong:
        print(line)
    return 1 if wrong or good < 5 or len(documents) - good != len(SHAPELESS) else 0


sys.exit(main())
