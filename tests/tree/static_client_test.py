"""The client is static, and the C library's name services load modules: nothing of them may be linked into it."""
import os
import pathlib
import re
import subprocess
import sys

CLIENT = pathlib.Path(os.environ["GANTRY_BIN"]) / "gantry"
FORBIDDEN = re.compile(r"_*nss_.*|getaddrinfo|getnameinfo|gethostby.*|get(pw|gr)(nam|uid|gid|ent).*|getserv.*|initgroups|getgrouplist")


def symbols():
    for line in subprocess.run(["nm", CLIENT], capture_output=True, text=True, check=True).stdout.splitlines():
        yield line.split()[-1]


if __name__ == "__main__":
    if "INTERP" in subprocess.run(["readelf", "-lW", CLIENT], capture_output=True, text=True, check=True).stdout:
        print("the client of this build is dynamic: skipped")
        sys.exit(77)
    found = sorted(name for name in symbols() if FORBIDDEN.fullmatch(name))
    print("\n".join(f"gantry contains {name}: leave it to gantry-tls" for name in found) or "client: no name services in it")
    sys.exit(1 if found else 0)
