"""Filters of system calls that let a program start threads, but no processes and no namespaces.

RLIMIT_NPROC does not bind root, so the kernel is asked this way. The program is
classic BPF over ``struct seccomp_data`` (linux/seccomp.h), as bubblewrap takes it.
"""

import errno
import os
import struct

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
CLONE_THREAD = 0x00010000
CLONE3 = 435
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
X32_BIT = 0x40000000
CLONE = {"x86_64": 56, "aarch64": 220}
REFUSED = {
    "x86_64": (57, 58, 272, 308, 321, 425),  # fork, vfork, unshare, setns, bpf, io_uring_setup
    "aarch64": (97, 268, 280, 425),
}
OUTWARD = {
    "x86_64": (41, 62, 129, 200, 234, 297, 424),  # socket, kill and its like
    "aarch64": (198, 129, 138, 130, 131, 240, 424),
}


def knows_machine() -> bool:
    """Tell whether there is a filter for this machine."""
    return os.uname().machine in ARCHITECTURES


def no_processes(*, may_reach_out: bool = True) -> bytes:
    """Return the filter for this machine. ``clone3``, whose flags cannot be read, counts as not there.

    Without ``may_reach_out`` it keeps the sockets it was given, and sends no signals.
    """
    machine = os.uname().machine
    numbers = REFUSED[machine] if may_reach_out else (*REFUSED[machine], *OUTWARD[machine])
    refused = [(number, errno.EPERM) for number in numbers] + [(CLONE3, errno.ENOSYS)]
    program = [
        _step(LOAD, ARCHITECTURE_AT),
        _step(IF_EQUAL, ARCHITECTURES[machine], yes=1),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER_AT),
        _step(IF_ANY_BIT, X32_BIT, no=1),
        _step(RETURN, ERRNO | errno.EPERM),
    ]
    for number, error in refused:
        program += [_step(IF_EQUAL, number, no=1), _step(RETURN, ERRNO | error)]
    program += [
        _step(IF_EQUAL, CLONE[machine], no=3),
        _step(LOAD, FIRST_ARGUMENT_AT),
        _step(IF_ANY_BIT, CLONE_THREAD, yes=1),
        _step(RETURN, ERRNO | errno.EPERM),
        _step(RETURN, ALLOW),
    ]
    return b"".join(program)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Return one instruction; ``yes`` and ``no`` say how many to skip."""
    return struct.pack("=HBBI", code, yes, no, value)
