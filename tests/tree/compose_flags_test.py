#!/usr/bin/env python3
"""Docker Compose's commands and flags (docs/reference/compose-cli.md, section 1.1 and 2) against what `compose --help` says:
none may be missing, none may be refused, and each has a test on real containers.

Which test covers a flag is read from the tests themselves: a call in tests/root/e2e that names the command and behind it
the flag. `compose_flags_test.py --table` prints it all, a line for each command and flag.
"""
import ast
import os
import pathlib
import re
import subprocess
import sys
import unittest

REPO = pathlib.Path(__file__).resolve().parents[2]
SPEC = REPO / "docs/reference/compose-cli.md"
TESTS = REPO / "tests/root/e2e"
GANTRY = pathlib.Path(os.environ.get("GANTRY_BIN", REPO / "build/release/bin")) / "gantry"

FLAG = re.compile(r"(?<![\w-])--([A-Za-z][A-Za-z-]*[A-Za-z]|y)\b")
# Calls of the tests' own helpers that stand for a command.
HELPERS = {"up": "up", "plan": "plan"}
GLOBAL = "(global)"


def spec_flags():
    """{command: {flag}} of the specification."""
    text = SPEC.read_text()
    table = {GLOBAL: set()}
    options = text.split("### 1.1", 1)[1].split("### 1.2", 1)[0]
    for row in re.findall(r"^\| `([^`]*)`", options, re.M):
        table[GLOBAL] |= set(FLAG.findall(row))
    commands = text.split("## 2. Commands", 1)[1].split("## 3. Behaviour", 1)[0]
    for block in re.split(r"^### ", commands, flags=re.M)[1:]:
        head = block.split("\n", 1)[0]
        names = re.match(r"[a-z]+(?: / [a-z]+)*", head).group().split(" / ")
        if names == ["alpha"] or names == ["bridge"]:
            prefix = "bridge " if names == ["bridge"] else ""
            for name, flags in re.findall(r"`([a-z]+(?: [a-z]+)?)[^`]*` \(((?:[^()]|\([^()]*\))*)\)", block):
                table.setdefault(prefix + name, set()).update(FLAG.findall(flags))
            continue
        for name in names:
            table.setdefault(name, set()).update(FLAG.findall(block))
    for command in table.keys() - {GLOBAL}:
        table[command] -= table[GLOBAL]
    return table


def help_of(command):
    words = [] if command == GLOBAL else command.split()
    return subprocess.run([GANTRY, "compose", *words, "--help"], capture_output=True, text=True, timeout=60)


def help_flags(command):
    """({flag}, {letter: flag}) of a help page."""
    flags, letters = set(), {}
    for line in help_of(command).stdout.splitlines():
        found = re.match(r"\s+(?:-(\w), )?\s*--([\w-]+)", line)
        if found:
            flags.add(found[2])
            if found[1]:
                letters[found[1]] = found[2]
    return flags, letters


def words_of(node):
    """The literal words of a call or list, in order; a text with blanks counts as several."""
    words = []
    for item in getattr(node, "args", None) or getattr(node, "elts", []):
        for constant in ast.walk(item):
            if isinstance(constant, ast.Constant) and isinstance(constant.value, str):
                words += constant.value.split()
    return words


class Coverage:
    """{(command, flag): [test]} as the tests' calls tell it."""

    def __init__(self, commands):
        self.commands = commands
        self.letters = {command: help_flags(command)[1] for command in [GLOBAL, *commands]}
        self.found = {}
        for path in sorted(TESTS.glob("*_test.py")):
            tree = ast.parse(path.read_text())
            for function in ast.walk(tree):
                if isinstance(function, ast.FunctionDef) and function.name.startswith("test_"):
                    self.read_test(f"{path.stem}.{function.name}", function)

    def read_test(self, name, function):
        for node in ast.walk(function):
            if isinstance(node, (ast.Call, ast.List, ast.Tuple)):
                self.read_words(name, node, words_of(node))

    def read_words(self, name, node, words):
        command = GLOBAL
        callee = getattr(getattr(node, "func", None), "attr", "") if isinstance(node, ast.Call) else ""
        if callee in HELPERS:
            command = HELPERS[callee]
        position = 0
        while position < len(words):
            word = words[position]
            position += 1
            if word == "--":
                break
            if command == GLOBAL and not word.startswith("-"):
                for length in (3, 2, 1):
                    if " ".join(words[position - 1:position - 1 + length]) in self.commands:
                        command = " ".join(words[position - 1:position - 1 + length])
                        position += length - 1
                        break
                continue
            for flag in self.flags_in(command, word):
                self.found.setdefault((command, flag), []).append(name)

    def flags_in(self, command, word):
        if word.startswith("--"):
            return [word[2:].split("=")[0]]
        if not word.startswith("-"):
            return []
        flags = []
        for letter in word[1:]:
            flag = self.letters[command].get(letter)
            if flag is None:
                break
            flags.append(flag)
        return flags


class Flags(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.spec = spec_flags()

    def test_the_specification_is_read(self):
        self.assertGreaterEqual(len(self.spec), 40)
        self.assertGreaterEqual(sum(map(len, self.spec.values())), 200)
        self.assertIn("abort-on-container-exit", self.spec["up"])
        self.assertIn("indentation-size", self.spec["viz"])

    def test_no_command_is_missing_or_refused(self):
        bad = {}
        for command in self.spec:
            page = help_of(command)
            if page.returncode != 0 or "Not supported" in page.stdout.splitlines()[0]:
                bad[command] = page.stderr
        listed = help_of(GLOBAL).stdout
        bad |= {line: "refused" for line in listed.splitlines() if "Not supported" in line}
        self.assertEqual(bad, {})

    def test_no_flag_is_missing_or_refused(self):
        missing = []
        for command, flags in self.spec.items():
            shown, _ = help_flags(command)
            refused = re.findall(r"--([\w-]+)\b.*Not supported", help_of(command).stdout)
            for flag in sorted(flags):
                if flag in refused:
                    missing.append(f"{command} --{flag}: refused")
                elif flag not in shown and not self.is_known(command, flag):
                    missing.append(f"{command} --{flag}: missing")
        self.assertEqual(missing, [])

    def is_known(self, command, flag):
        """A flag that is taken, but not on the help page: an old spelling."""
        words = [] if command == GLOBAL else command.split()
        for value in ([], ["1"]):
            result = subprocess.run([GANTRY, "compose", *words, f"--{flag}", *value, "--help"], capture_output=True,
                                    text=True, timeout=60)
            if result.returncode == 0:
                return True
        return False

    def test_every_flag_has_a_test_on_real_containers(self):
        coverage = Coverage([command for command in self.spec if command != GLOBAL])
        untested = [f"{command} --{flag}" for command, flags in self.spec.items() for flag in sorted(flags)
                    if (command, flag) not in coverage.found]
        self.assertEqual(untested, [])


def print_table():
    spec = spec_flags()
    coverage = Coverage([command for command in spec if command != GLOBAL])
    for command, flags in spec.items():
        for flag in sorted(flags):
            tests = sorted(set(coverage.found.get((command, flag), [])))
            print(f"{command} --{flag}\t{', '.join(tests) or '-'}")


if __name__ == "__main__":
    if not GANTRY.exists():
        print(f"skipped: needs the built executables ({GANTRY})")
        sys.exit(77)
    if sys.argv[1:] == ["--table"]:
        print_table()
    else:
        unittest.main(verbosity=2)
