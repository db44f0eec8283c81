#!/usr/bin/env python3
"""The fault points of the sources, of docs/reliability.md and of tests/root/e2e/crash_test.py are the same."""
import ast
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def in_sources():
    points = set()
    for path in (ROOT / "src").rglob("*.cc"):
        points |= set(re.findall(r'fault_point\("([^"]+)"\)', path.read_text()))
    writes = re.findall(r'^    {"[A-Z].*", "(store [^"]+)"},$', (ROOT / "src/engine/database.cc").read_text(), re.MULTILINE)
    return points | {f"{write} {when}" for write in writes for when in ("before", "after")}


def in_docs():
    text = (ROOT / "docs/reliability.md").read_text()
    section = text.split("\n### Fault points\n")[1].split("\n## ")[0]
    points = set()
    for names in re.findall(r"^\| (`.*`) \|", section, re.MULTILINE):
        for name in re.findall(r"`([^`]+)`", names):
            points |= {name} if not name.endswith(" before/after") else {name.replace("before/after", when) for when in ("before", "after")}
    return points


def in_crash_test():
    for statement in ast.parse((ROOT / "tests/root/e2e/crash_test.py").read_text()).body:
        if isinstance(statement, ast.Assign) and statement.targets[0].id == "POINTS":
            return set(ast.literal_eval(statement.value))
    raise AssertionError("crash_test.py has no POINTS")


class FaultPoints(unittest.TestCase):
    maxDiff = None

    def test_each_is_documented(self):
        self.assertEqual(sorted(in_docs()), sorted(in_sources()))

    def test_each_is_tested(self):
        self.assertEqual(sorted(in_crash_test()), sorted(in_sources()))


if __name__ == "__main__":
    unittest.main()
