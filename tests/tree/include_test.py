"""The layers point one way: an include against the arrows of docs/architecture.md fails this test."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2] / "src"

# Who may include whom, besides itself. Longest folder name first.
ALLOWED = {
    "start": set(),
    "base": set(),
    "net": {"base"},
    "dns": {"net", "base"},
    "engine/iface": {"base"},
    "engine": {"engine/iface", "net", "base", "shim/protocol.h"},
    "compose": {"engine/iface", "base"},
    "client": {"base"},
    "daemon": {"engine", "engine/iface", "compose", "net", "base"},
    "cli": {"client", "compose", "base"},
    "shim": {"start"},
    "main.cc": {"cli", "base"},
    "daemon_main.cc": {"daemon"},
    "tls_main.cc": {"client", "base"},
    "daemon_openssl.cc": set(),
    "main_openssl.cc": set(),
}
# Libraries with heavy or far-reaching headers, and the only folders or files that may see them.
LIBRARIES = {
    "yaml-cpp/": ["compose/yaml_reader.cc"],
    "uv.h": ["base/loop.cc"],
    "spdlog/": ["base/log.cc"],
    "sqlite3.h": ["engine/"],
    "seccomp.h": ["engine/container/"],
    "nftables/": ["net/"],
    "archive.h": ["engine/", "cli/"],
    "CLI/": ["cli/", "daemon/"],
}
# Private headers of a few files that convert JSON.
JSON_HEADERS = {"cli/json_view.h", "engine/iface/json_fields.h"}
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]', re.M)


def folder_of(path):
    for name in sorted(ALLOWED, key=len, reverse=True):
        if path == name or path.startswith(name + "/"):
            return name
    return None


def problems():
    for file in sorted(p for p in ROOT.rglob("*") if p.suffix in (".cc", ".h")):
        name = file.relative_to(ROOT).as_posix()
        home = folder_of(name)
        if home is None:
            yield f"src/{name}: in no known layer"
            continue
        text = file.read_text()
        if file.suffix == ".h" and "#pragma once" not in text:
            yield f"src/{name}: no #pragma once"
        for kind, target in INCLUDE.findall(text):
            if kind == '"':
                goal = folder_of(target)
                if not (ROOT / target).exists():
                    yield f"src/{name}: includes \"{target}\", which is not in src/ (paths start there)"
                elif goal != home and goal not in ALLOWED[home] and target not in ALLOWED[home]:
                    yield f"src/{name}: {home} must not include {goal} (\"{target}\")"
            for library, homes in LIBRARIES.items():
                if target.startswith(library) and not any(name.startswith(h) for h in homes):
                    yield f"src/{name}: <{target}> belongs in {', '.join(homes)} only"
            if file.suffix == ".h" and target in ("nlohmann/json.hpp", "httplib.h") and name not in JSON_HEADERS:
                yield f"src/{name}: <{target}> is slow to compile: keep it out of headers"


if __name__ == "__main__":
    found = list(problems())
    print("\n".join(found) or "includes: all point the right way")
    sys.exit(1 if found else 0)
