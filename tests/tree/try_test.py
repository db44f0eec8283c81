"""No TRY after another element of a braced list: when it returns, compilers do not destroy the elements that are there
already (g++ and clang alike), so that every error would leak them. A local variable before the list does it.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "src"
TOKEN = re.compile(r"""
    //[^\n]* | /\*.*?\*/                                        # comments
  | R"(?P<mark>[^(\s]*)\(.*?\)(?P=mark)"                        # raw texts
  | "(?:\\.|[^"\\])*" | (?<![0-9A-Za-z_])'(?:\\.|[^'\\])*'      # texts and characters
  | \bTRY\(
  | [()\[\]{};,\n]
""", re.X | re.S)


class Bracket:
    def __init__(self, kind):
        self.kind, self.is_block, self.elements, self.tries = kind, False, 0, []


def offences(text):
    """Lines on which a TRY stands in a braced list, not as its first element."""
    line, stack = 1, []
    for match in TOKEN.finditer(text):
        token = match.group()
        if token == ";" and stack:
            stack[-1].is_block = True
        elif token == "," and stack:
            stack[-1].elements += 1
        elif token in ("(", "[", "{", "TRY("):
            if token == "TRY(":
                around = next((bracket for bracket in reversed(stack) if bracket.kind == "{"), None)
                if around is not None and around.elements > 0:
                    around.tries.append(line)
            stack.append(Bracket(token[-1]))
        elif token in (")", "]", "}") and stack:
            closed = stack.pop()
            if not closed.is_block:
                yield from closed.tries
        line += token.count("\n")


def main():
    assert list(offences("auto a = A{.x = f(), .y = TRY(g())};")) == [1], "the check finds nothing"
    assert not list(offences("f([] { int a, b; TRY(g(a, b)); }); A{.x = TRY(g()), .y = f(\"a,{TRY(\")};"))
    found = [f"{path.relative_to(ROOT.parent)}:{line}: TRY in a braced list leaks the elements before it"
             for path in sorted([*ROOT.rglob("*.cc"), *ROOT.rglob("*.h")]) for line in offences(path.read_text())]
    print("\n".join(found) or "every TRY stands where nothing can leak")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
