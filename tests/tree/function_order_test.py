"""The functions that a start runs lie beside each other: the lists that the linker is given must still fit the programs."""
import os
import pathlib
import subprocess
import sys

BIN = pathlib.Path(os.environ["GANTRY_BIN"])
LISTS = pathlib.Path(__file__).resolve().parents[2] / "src/start"
START_ENDS = "gantry_start_ends"
AT_LEAST = 0.7  # of a list's names are to be found: the others have been renamed since it was made


def complaints(program):
    listed = subprocess.run(["nm", "--defined-only", BIN / program], capture_output=True, text=True, check=True).stdout
    address = {line.split(None, 2)[2]: int(line.split()[0], 16) for line in listed.splitlines()}
    if START_ENDS not in address:
        print(f"{program} was linked without lld, or for a sanitizer: skipped")
        sys.exit(77)
    names = (LISTS / f"{program}.order").read_text().split()
    if START_ENDS not in names:
        yield f"{program}.order does not say where the start ends: {START_ENDS}"
        return
    before = [name for name in names[:names.index(START_ENDS)] if name in address]
    late = [name for name in before if address[name] > address[START_ENDS]]
    # Of a name that several files have for a function of their own the linker may have taken another one.
    if len(late) > len(before) / 20:
        yield f"{program}: not in the order of its list: {', '.join(late[:5])} …"
    found = sum(name in address for name in names) / len(names)
    if found < AT_LEAST:
        yield f"{program} has {found:.0%} of the functions of {program}.order: make it again with cmake/function_order.py"


if __name__ == "__main__":
    found = [text for program in ("gantry", "gantry-shim") for text in complaints(program)]
    print("\n".join(found) or "gantry, gantry-shim: in the order of their lists")
    sys.exit(1 if found else 0)
