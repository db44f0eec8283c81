"""Transcripts: commands and what they print, in one file that is read, replayed and recorded.

    $ docker run --rm busybox:test sh -c 'echo out; echo err >&2; exit 3'
    out
    2> err
    [3]

Standard output comes first, standard error after it with "2> " in front, the exit status last (left out for 0). A line
that begins with "#" is a comment, "@ NAME" begins a scene; scenes run one after the other on one daemon. What differs
from run to run is replaced: ids, times, addresses, the widths of columns.
"""
import dataclasses
import difflib
import re
import subprocess

REPLACEMENTS = [
    (r"sha256:[0-9a-f]{64}", "sha256:<hex>"),
    (r"\b[0-9a-f]{64}\b", "<id>"),
    (r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b", "<short-id>"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( ?[+-]\d{4} \w+|Z|[+-]\d\d:\d\d)?", "<time>"),
    (r"\b(Less than a second|\d+ seconds?|About a minute|\d+ minutes?|About an hour)\b", "<while>"),
    (r"\b(?:\d{1,3}\.){3}\d{1,3}(?!\d*\.)\b", "<address>"),
    (r"(?<=\d\.\d:)\d{5}\b|(?<=<address>:)\d+", "<port>"),
    (r"[ \t]{2,}", "  "),
    (r"[ \t]+$", ""),
]
FIXED_ADDRESSES = {"0.0.0.0", "127.0.0.1"}


def normalised(text):
    for pattern, replacement in REPLACEMENTS:
        if replacement == "<address>":
            text = re.sub(pattern, lambda m: m[0] if m[0] in FIXED_ADDRESSES else "<address>", text, flags=re.M)
        else:
            text = re.sub(pattern, replacement, text, flags=re.M)
    return text


@dataclasses.dataclass
class Step:
    command: str
    expected: list  # lines
    comments: list  # lines that stand before it
    line: int


@dataclasses.dataclass
class Scene:
    name: str
    steps: list


def parse(text):
    scenes, comments, step = [], [], None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("@ "):
            scenes.append(Scene(line[2:], []))
            step = None
        elif line.startswith("$ "):
            step = Step(line[2:], [], comments, number)
            scenes[-1].steps.append(step)
            comments = []
        elif line.startswith("#"):
            if scenes:  # before the first scene: about the file
                comments.append(line)
        elif step is not None and line:
            step.expected.append(line)
        elif not line:
            step = None if step is None else step
    return scenes


def run(command, environment, directory):
    """What the command prints, as a transcript's lines."""
    done = subprocess.run(["bash", "-c", command], env=environment, cwd=directory, capture_output=True, timeout=120,
                          stdin=subprocess.DEVNULL)
    lines = [line for line in normalised(done.stdout.decode(errors="replace")).splitlines() if line]
    lines += ["2> " + line for line in normalised(done.stderr.decode(errors="replace")).splitlines() if line]
    if done.returncode:
        lines.append(f"[{done.returncode}]")
    return lines


def difference(step, got):
    if step.expected == got:
        return ""
    lines = list(difflib.unified_diff(step.expected, got, "expected", "got", lineterm="", n=10))
    return f"line {step.line}: $ {step.command}\n" + "\n".join(lines[2:]) + "\n"


def render(scenes):
    parts = []
    for scene in scenes:
        parts.append(f"@ {scene.name}\n")
        for step in scene.steps:
            parts.append("\n".join([*step.comments, "$ " + step.command, *step.expected]) + "\n")
    return "\n".join(parts)
