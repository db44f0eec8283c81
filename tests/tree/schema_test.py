#!/usr/bin/env python3
"""schemas/compose-spec.json with an independent validator: it accepts every example and every file of the loader's golden
projects that is valid, and refuses those of the table of messages whose structure is wrong."""
import json
import pathlib
import re
import sys
import unittest

try:
    import jsonschema
    import yaml
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Loader(yaml.SafeLoader):
    """YAML as compose files mean it: true and false are the only booleans, nothing is base 60."""


Loader.yaml_implicit_resolvers = {}
for tag, pattern, first in [
        ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
        ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
        ("int", r"^[-+]?(?:0[0-7_]*|[1-9][0-9_]*|0x[0-9a-fA-F]+)$", "-+0123456789"),
        ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
        ("merge", r"^<<$", "<")]:
    Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


DROPPED = object()


def any_tag(loader, suffix, node):
    if suffix == "reset":
        return DROPPED
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


Loader.add_multi_constructor("!", any_tag)


def without_dropped(value):
    """What !reset takes away is no part of the file."""
    if isinstance(value, dict):
        return {k: without_dropped(v) for k, v in value.items() if v is not DROPPED}
    if isinstance(value, list):
        return [without_dropped(v) for v in value if v is not DROPPED]
    return value


def documents(text):
    return [without_dropped(d) for d in yaml.load_all(text, Loader) if d is not None]


def cases(name):
    """The table's cases: name → compose.yaml."""
    out, lines, inside = {}, [], False
    for line in (ROOT / "tests/golden/messages" / name).read_text().splitlines():
        if line.startswith("=== "):
            title, lines, inside = line[4:], [], True
        elif line == ">>>":
            out[title] = "\n".join(lines) + "\n"
            inside = False
        elif inside and not line.startswith("%% "):
            lines.append(line)
    return out


class Schema(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        schema = json.loads((ROOT / "schemas/compose-spec.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        cls.validator = jsonschema.Draft202012Validator(schema)

    def problems(self, text):
        return [f"{'.'.join(map(str, e.absolute_path))}: {e.message}" for d in documents(text) for e in self.validator.iter_errors(d)]

    def test_accepts_what_is_valid(self):
        files = sorted(ROOT.glob("examples/*/compose*.yaml")) + sorted(ROOT.glob("tests/golden/loader/*/**/*.yaml"))
        self.assertGreater(len(files), 5)
        for file in files:
            if file.is_relative_to(ROOT / "tests/golden/loader/errors"):
                continue
            with self.subTest(file=str(file.relative_to(ROOT))):
                self.assertEqual(self.problems(file.read_text()), [])

    def test_refuses_a_wrong_structure(self):
        # What a schema cannot say: a word of .env, and words that are right or wrong only as a whole.
        beyond = {"a dependency twice", "an unknown word as a boolean", "a negative size of a tmpfs"}
        for title, text in cases("structure.txt").items():
            if title in beyond:
                continue
            with self.subTest(case=title):
                self.assertNotEqual(self.problems(text), [], text)

    def test_leaves_what_only_the_loader_can_know(self):
        for title, text in cases("meaning.txt").items():
            with self.subTest(case=title):
                self.assertEqual(self.problems(text), [], text)


if __name__ == "__main__":
    unittest.main()
