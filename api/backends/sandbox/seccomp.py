"""Filters of system calls that let a program start threads, but no processes and no namespaces.

RLIMIT_NPROC does not bind root, so the kernel is asked this way. The program is
classic BPF over ``struct seccomp_data`` (linux/seccomp.h), as bubblewrap takes it.
"""

import errno
import os
import struct

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, IF_EQUAL, IF_ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT, SECOND_ARGUMENT_AT, THIRD_ARGUMENT_AT = 0, 4, 16, 24, 32
WORD_BYTES = 4
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
    # socket, kill and its like, setpriority, ioprio_set
    "x86_64": (41, 62, 129, 200, 234, 297, 424, 141, 251),
    "aarch64": (198, 129, 138, 130, 131, 240, 424, 140, 30),
}
OF_ITSELF = {
    "x86_64": (142, 144, 203, 314),  # sched_setparam, -scheduler, -affinity, -attr
    "aarch64": (118, 119, 122, 274),
}
"""Calls whose first argument is whose turns they change: 0 is the caller itself."""
LIMITING = {"x86_64": (160, 302), "aarch64": (164, 261)}
"""setrlimit; prlimit64, whose third argument is 0 where it only asks."""
OWNING = {
    "x86_64": (
        (72, (8, 15)),
        (16, (0x8901, 0x8902)),
    ),  # fcntl F_SETOWN, F_SETOWN_EX; ioctl FIOSETOWN, SIOCSPGRP
    "aarch64": ((25, (8, 15)), (29, (0x8901, 0x8902))),
}
"""Calls, by their second argument, that have the kernel send signals to another process."""


def knows_machine() -> bool:
    """Tell whether there is a filter for this machine."""
    return os.uname().machine in ARCHITECTURES


def no_processes(*, may_reach_out: bool = True) -> bytes:
    """Return the filter for this machine. ``clone3``, whose flags cannot be read, counts as not there.

    Without ``may_reach_out`` a program keeps the sockets and the limits it was given, which root could raise
    otherwise, and neither sends signals nor changes limits and turns of other processes.
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
    if not may_reach_out:
        program += _leave_others_alone(machine)
    program += [
        _step(IF_EQUAL, CLONE[machine], no=3),
        _step(LOAD, FIRST_ARGUMENT_AT),
        _step(IF_ANY_BIT, CLONE_THREAD, yes=1),
        _step(RETURN, ERRNO | errno.EPERM),
        _step(RETURN, ALLOW),
    ]
    return b"".join(program)


def _leave_others_alone(machine: str) -> list[bytes]:
    """Return the steps that refuse calls on other processes, and on limits, by what they are called with."""
    set_limit, ask_limit = LIMITING[machine]
    steps = [_step(IF_EQUAL, set_limit, no=1), _step(RETURN, ERRNO | errno.EPERM)]
    steps += _only_with_zeros(ask_limit, FIRST_ARGUMENT_AT, THIRD_ARGUMENT_AT, THIRD_ARGUMENT_AT + WORD_BYTES)
    for number in OF_ITSELF[machine]:
        steps += _only_with_zeros(number, FIRST_ARGUMENT_AT)
    for number, (one, other) in OWNING[machine]:
        steps += [
            _step(IF_EQUAL, number, no=5),
            _step(LOAD, SECOND_ARGUMENT_AT),
            _step(IF_EQUAL, one, yes=1),
            _step(IF_EQUAL, other, no=1),
            _step(RETURN, ERRNO | errno.EPERM),
            _step(RETURN, ALLOW),
        ]
    return steps


def _only_with_zeros(number: int, *words_at: int) -> list[bytes]:
    """Return the steps that allow a call only where these words of its arguments are 0."""
    steps = []
    for left, at in zip(range(len(words_at), 0, -1), words_at, strict=True):
        steps += [_step(LOAD, at), _step(IF_EQUAL, 0, no=2 * left - 1)]
    steps += [_step(RETURN, ALLOW), _step(RETURN, ERRNO | errno.EPERM)]
    return [_step(IF_EQUAL, number, no=len(steps)), *steps]


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    """Return one instruction; ``yes`` and ``no`` say how many to skip."""
    return struct.pack("=HBBI", code, yes, no, value)
