"""Runs a command that cannot have sockets of NETLINK_NETFILTER, as on a kernel without nftables: without_netfilter.py COMMAND..."""
import ctypes
import errno
import os
import platform
import struct
import sys

SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
AF_NETLINK, NETLINK_NETFILTER = 16, 12
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
ALLOW, FAIL = 0x7fff0000, 0x00050000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
NUMBER, FIRST_ARGUMENT = 0, 16  # in struct seccomp_data; arguments have eight bytes each


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install():
    lines = [(LOAD, 0, 0, NUMBER), (EQUAL, 0, 5, SOCKET),
             (LOAD, 0, 0, FIRST_ARGUMENT), (EQUAL, 0, 3, AF_NETLINK),
             (LOAD, 0, 0, FIRST_ARGUMENT + 16), (EQUAL, 0, 1, NETLINK_NETFILTER),
             (RETURN, 0, 0, FAIL | errno.EPROTONOSUPPORT), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = Program(len(lines), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    install()
    os.execvp(sys.argv[1], sys.argv[1:])
