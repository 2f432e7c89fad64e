#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What verbs print with --json is what docs/reference/json-schema.json says.

Needs the standard library only.

usage: json_test.py QSTORE [unittest's arguments]
"""

import json
import sys
import unittest
from pathlib import Path

import cli_test
from cli_test import Case, run

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = json.loads((ROOT / "docs" / "reference" / "json-schema.json").read_text())["$defs"]
TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def offences(value, schema, where="$"):
    """What the value breaks of the words of JSON Schema that our schemas use."""
    unknown = schema.keys() - {"type", "required", "properties", "items", "enum"}
    if unknown:
        yield f"{where}: this test does not know {unknown}"
    is_number_by_mistake = isinstance(value, bool) and schema["type"] in ("integer", "number")
    if not isinstance(value, TYPES[schema["type"]]) or is_number_by_mistake:
        yield f"{where}: {value!r} is no {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{where}: {value!r} is none of {schema['enum']}"
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                yield f"{where}: lacks {name}"
        for name, inner in schema.get("properties", {}).items():
            if name in value:
                yield from offences(value[name], inner, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        for number, element in enumerate(value):
            yield from offences(element, schema["items"], f"{where}[{number}]")


class Schemas(Case):
    def check(self, name, *arguments):
        document = json.loads(run(*arguments, "--json").stdout)
        self.assertEqual(list(offences(document, SCHEMAS[name])), [], arguments)

    def test_real_documents(self):
        self.check("pack", "pack", "-o", self.space / "m.qstore", f"a={self.model}")
        self.check("unpack", "unpack", self.archive, "bf16", "-o", self.space / "out")
        self.check("verify", "verify", self.archive)
        self.check("ls", "ls", self.archive)
        self.check("ls", "ls", self.archive, "bf16")
        self.check("ls", "ls", self.archive, "bf16", "--tensors")
        self.check("inspect", "inspect", self.archive)
        self.check("diff", "diff", f"{self.archive}:bf16", f"{self.archive}:int8")
        self.check("error", "inspect", self.space / "nowhere")
        self.check("error", "pack", "--level", "ultra")

    def test_wrong_documents_are_seen(self):
        self.assertEqual(len(list(offences({}, SCHEMAS["unpack"]))), 4)
        self.assertEqual(len(list(offences({"error": {"code": 1}}, SCHEMAS["error"]))), 3)
        self.assertEqual(len(list(offences([{"bytes": True}], SCHEMAS["ls"]))), 1)


if __name__ == "__main__":
    cli_test.BINARY = sys.argv.pop(1)
    unittest.main(verbosity=2)
