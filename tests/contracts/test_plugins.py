"""What whoever runs plugins promises, seen through plugins of a few lines."""

import ctypes
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.backends.plugins import room
from api.backends.plugins.process import Backend
from api.backends.sandbox import seccomp
from api.core.http import Cancelled
from api.core.plugins.package import read_package
from api.core.plugins.runner import CALLED_BACK, PluginFailed
from api.core.ports import Cancel, JSONObject
from api.errors import Unavailable
from tests.plugins import ask, make_package, make_runner, refuse, to_archive, to_code, to_files

MOODY = """
import os, sys, time
from slipway_plugin import Blob, ToolFailed, serve

def say(call):
    word = call.arguments["word"]
    if word == "pid":
        yield str(os.getpid())
    if word == "file":
        yield Blob("a.bin", "application/x-a", bytes([0, 255]))
    if word == "fail":
        raise ToolFailed("I will not.")
    if word == "bug":
        [][1]
    if word == "crash":
        yield "half"
        os._exit(7)
    if word == "print":
        print("this is no answer")
        yield "well"
    if word == "nonsense":
        os.write(1, b"this is no answer\\n")
        time.sleep(60)
    if word == "foreign":
        os.write(1, b'{"event": "session", "session_id": "x", "data": {"type": "end"}}\\n')
        time.sleep(60)
    if word == "flood":
        while True:
            yield "x" * 10_000
    if word == "hang":
        while True:
            pass
    if word == "memory":
        yield str(len(bytearray(2 * 1024**3)))

serve({"say": say})
"""
NOSY = """
import fcntl, os, resource, socket, subprocess, sys, threading
from slipway_plugin import serve

SERVER = os.getppid()
TRIES = {
    "passwords": lambda: open("/etc/passwd").read(),
    "server": lambda: open(f"/proc/{os.getppid()}/environ").read(),
    "root": lambda: os.listdir("/"),
    "own code": lambda: open(sys.path[0] + "/more.py", "w"),
    "network": lambda: socket.socket().connect(("127.0.0.1", PORT)),
    "datagrams": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9)),
    "fork": lambda: os.fork() or os._exit(0),
    "program": lambda: subprocess.run(["/bin/ls"], check=True),
    "signal": lambda: os.kill(SERVER, 0),
    "signal by the kernel": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, SERVER),
    "limits": lambda: resource.prlimit(SERVER, resource.RLIMIT_CORE, (0, 0)),
    "own limits": lambda: resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40)),
    "own limit": lambda: resource.prlimit(0, resource.RLIMIT_FSIZE, (2**30, 2**30)),
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, SERVER, os.getpriority(os.PRIO_PROCESS, 0)),
    "processors": lambda: os.sched_setaffinity(SERVER, os.sched_getaffinity(0)),
    "packages": lambda: __import__("orjson"),
}

def say(call):
    global PORT
    PORT = call.arguments["port"]
    got = {}
    for name, attempt in TRIES.items():
        try:
            got[name] = str(attempt())[:100]
        except (OSError, ImportError, ValueError):
            pass
    with open("note.txt", "w") as file:
        file.write("x")
    ran = []
    thread = threading.Thread(target=ran.append, args=("runs",))
    thread.start()
    thread.join()
    yield {"got": got, "thread": ran[0], "environment": sorted(os.environ), "wrote": os.listdir(".")}

serve({"say": say})
"""
GREEDY = """
import os, time
from slipway_plugin import serve

PIECE = b"x" * 1024 * 1024

def write(file, pieces):
    for _ in range(pieces):
        file.write(PIECE)
    file.flush()

def say(call):
    kept, word = [], call.arguments["word"]
    for number in range(5):
        if word == "files":
            with open(f"{number}", "wb") as file:
                write(file, 32)
        if word == "nameless":
            kept.append(open("x", "wb"))
            os.remove("x")
            write(kept[-1], 32)
    for number in range(110):
        if word == "many":
            os.makedirs(f"{number % 7}/{number}")
    if word != "some":
        time.sleep(60)
    with open("some", "wb") as file:
        write(file, 8)
    yield "well"

serve({"say": say})
"""


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Backend]:
    made = make_runner(tmp_path / "plugins")
    yield made
    made.stop()


@pytest.fixture(scope="module")
def moody() -> Any:
    return to_code(make_package(MOODY))


def text_of(messages: list[JSONObject]) -> str:
    (message,) = messages
    inside: Any = message["message"]
    return str(inside["text"])


def is_shut() -> bool:
    """Tell whether this machine can shut plugins in."""
    return bool(ctypes.CDLL(None).syscall(444, None, 0, 1) > 0) and seccomp.knows_machine()


def test_one_process_serves_call_after_call_and_no_other_workspace(runner: Backend) -> None:
    package = make_package(MOODY)
    code, other = to_code(package), to_code(package, "other")
    first, second = (text_of(ask(runner, code, word="pid")) for _ in range(2))
    foreign = text_of(ask(runner, other, word="pid"))
    (file,) = ask(runner, code, word="file")
    assert (first == second, foreign != first) == (True, True)
    assert file == {
        "type": "blob",
        "message": {"blob": "AP8="},
        "meta": {"mime_type": "application/x-a", "filename": "a.bin"},
    }
    assert text_of(ask(runner, code, word="print")) == "well"
    runner.drop("t", package.digest)
    assert text_of(ask(runner, code, word="pid")) != first
    assert text_of(ask(runner, other, word="pid")) == foreign


@pytest.mark.parametrize(
    ("word", "fault"),
    [
        ("crash", "ended within the call (exit code 7)"),
        ("nonsense", "no JSON"),
        ("foreign", "no answer"),
        ("flood", "more than 1000000 bytes"),
    ],
)
def test_process_that_misbehaves_fails_its_call_and_no_other(
    runner: Backend, moody: Any, word: str, fault: str
) -> None:
    before = text_of(ask(runner, moody, word="pid"))
    with pytest.raises(PluginFailed) as failed:
        ask(runner, moody, word=word)
    assert fault in failed.value.message
    assert text_of(ask(runner, moody, word="pid")) != before


@pytest.mark.parametrize(
    ("word", "fault"), [("fail", "I will not."), ("bug", "IndexError"), ("memory", "MemoryError")]
)
def test_tool_that_fails_says_why_and_its_process_goes_on(
    runner: Backend, moody: Any, word: str, fault: str
) -> None:
    before = text_of(ask(runner, moody, word="pid"))
    with pytest.raises(PluginFailed, match=fault):
        ask(runner, moody, word=word)
    assert text_of(ask(runner, moody, word="pid")) == before


def test_call_that_hangs_ends_with_its_time_or_its_stop(runner: Backend, moody: Any) -> None:
    pid = int(text_of(ask(runner, moody, word="pid")))
    with pytest.raises(PluginFailed, match="in time"):
        ask(runner, moody, word="hang", timeout_s=0.3)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    cancel = Cancel(60.0)
    threading.Timer(0.3, cancel.set).start()
    request: JSONObject = {"action": "invoke_tool", "provider": "echo", "tool": "say", "credentials": {}}
    asked: JSONObject = {**request, "tool_parameters": {"word": "hang"}}
    began = time.monotonic()
    with pytest.raises(Cancelled):
        list(runner.call(moody, asked, max_bytes=1000, cancel=cancel, answer=refuse))
    assert time.monotonic() - began < 30.0
    with pytest.raises(Cancelled):
        list(runner.call(moody, asked, max_bytes=1000, cancel=cancel, answer=refuse))


def test_calls_at_once_have_processes_of_their_own(runner: Backend, moody: Any) -> None:
    cancel = Cancel(60.0)
    request: JSONObject = {"action": "invoke_tool", "provider": "echo", "tool": "say", "credentials": {}}
    hanging = runner.call(
        moody, {**request, "tool_parameters": {"word": "crash"}}, max_bytes=1000, cancel=cancel, answer=refuse
    )
    next(hanging)
    assert text_of(ask(runner, moody, word="pid"))
    with pytest.raises(PluginFailed):
        next(hanging)


def test_one_workspace_leaves_room_for_others(runner: Backend, moody: Any) -> None:
    other = replace(moody, tenant_id="other")
    request: JSONObject = {
        "action": "invoke_tool",
        "provider": "echo",
        "tool": "say",
        "credentials": {},
        "tool_parameters": {"word": "flood"},
    }
    floods = [
        runner.call(moody, request, max_bytes=10**9, cancel=Cancel(60.0), answer=refuse) for _ in range(3)
    ]
    for flood in floods:
        next(flood)
    with pytest.raises(Unavailable, match="Too many plugins"):
        ask(runner, moody, word="pid", timeout_s=0.2)
    assert text_of(ask(runner, other, word="pid"))
    for flood in floods:
        flood.close()  # type: ignore[attr-defined]  # a generator
    assert text_of(ask(runner, moody, word="pid"))


def test_what_a_plugin_asks_is_answered_within_its_call(runner: Backend) -> None:
    main = """
from slipway_plugin import HTTPFailed, http, serve

def say(call):
    with http("GET", "http://a.test/x", headers={"x": "y"}) as answer:
        yield f"{answer.status} {answer.read().decode()}"
    try:
        http("GET", "http://b.test/")
    except HTTPFailed as exc:
        yield str(exc)

serve({"say": say})
"""
    asked: list[JSONObject] = []

    def answer(question: JSONObject) -> JSONObject:
        asked.append(question)
        told: JSONObject = {"backwards_request_id": question["backwards_request_id"]}
        pieces: list[JSONObject] = [
            {"event": "response", "data": {"status": 200, "headers": {}}},
            {"event": "response", "data": {"body": "b25l"}},
            {"event": "response", "data": {"body": "IHR3bw=="}},
            {"event": "end"},
            {"event": "end"},
            {"event": "error", "message": "No such host."},
        ]
        return {**told, **pieces[len(asked) - 1]}

    request: JSONObject = {"action": "invoke_tool", "provider": "echo", "tool": "say", "credentials": {}}
    told = runner.call(
        to_code(make_package(main)),
        {**request, "tool_parameters": {}},
        max_bytes=10_000,
        cancel=Cancel(60.0),
        answer=answer,
    )
    steps = list(told)
    assert [step["message"] for step in steps if step] == [{"text": "200 one two"}, {"text": "No such host."}]
    assert (steps.count(CALLED_BACK), asked[0]["request"]) == (
        6,
        {"method": "GET", "url": "http://a.test/x", "headers": {"x": "y"}, "body": ""},
    )


def test_call_that_is_left_early_leaves_nothing_behind(runner: Backend, moody: Any) -> None:
    request: JSONObject = {"action": "invoke_tool", "provider": "echo", "tool": "say", "credentials": {}}
    flood = runner.call(
        moody,
        {**request, "tool_parameters": {"word": "flood"}},
        max_bytes=10**9,
        cancel=Cancel(60.0),
        answer=refuse,
    )
    next(flood)
    flood.close()  # type: ignore[attr-defined]  # a generator
    assert text_of(ask(runner, moody, word="pid"))


@pytest.mark.parametrize("word", ["files", "nameless", "many"])
def test_plugin_that_fills_the_disk_is_ended(
    runner: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(room, "MAX_FILES", 100)
    greedy = to_code(make_package(GREEDY))
    assert text_of(ask(runner, greedy, word="some")) == "well"
    with pytest.raises(PluginFailed, match="keeps more than 128 MB, or 100 files"):
        ask(runner, greedy, word=word)
    assert not list(tmp_path.glob("slipway-plugin-*"))
    assert text_of(ask(runner, greedy, word="some")) == "well"


def test_plugin_sees_its_own_files_and_nothing_else(runner: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "planted")
    (told,) = ask(runner, to_code(make_package(NOSY)), port=1)
    inside: Any = told["message"]
    found = inside["json_object"]
    assert not {"SECRET_KEY", "PATH"} & set(found["environment"])
    assert found["wrote"] == ["note.txt"]
    assert "packages" not in found["got"]
    if not is_shut():
        pytest.skip("this machine has no Landlock, or no filter of system calls; what they shut stays open")
    assert found["got"] == {}
    assert found["thread"] == "runs"


def test_machine_that_cannot_shut_plugins_in_runs_none_unless_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seccomp, "ARCHITECTURES", {})  # as on a machine for which there is no filter
    strict = make_runner(tmp_path / "strict", isolation="required")
    with pytest.raises(PluginFailed, match="cannot shut plugins in"):
        ask(strict, to_code(make_package()), word="a")
    strict.stop()
    lenient = make_runner(tmp_path / "lenient", isolation="preferred")
    assert text_of(ask(lenient, to_code(make_package()), word="a")[:1]) == "a"
    lenient.stop()


def test_plugin_that_cannot_start_says_why(runner: Backend) -> None:
    with pytest.raises(PluginFailed, match=r"cannot be started: ModuleNotFoundError.*requests_of_others"):
        ask(runner, to_code(make_package("import requests_of_others")))
    with pytest.raises(PluginFailed, match="not the one that was installed"):
        ask(runner, replace(to_code(make_package()), digest="0" * 64))


def test_files_that_were_changed_are_put_back(runner: Backend, tmp_path: Path) -> None:
    package = make_package()
    assert text_of(ask(runner, to_code(package), word="a")[:1]) == "a"
    (main,) = (tmp_path / "plugins").glob("*/main.py")
    main.write_text("raise SystemExit(9)")
    runner.drop("t", package.digest)
    assert text_of(ask(runner, to_code(package), word="b")[:1]) == "b"


def test_files_of_no_use_are_removed_in_time_and_come_back(runner: Backend, tmp_path: Path) -> None:
    code = to_code(make_package())
    assert text_of(ask(runner, code, word="a")[:1]) == "a"
    (directory,) = (tmp_path / "plugins").iterdir()
    runner.close_idle()
    assert directory.exists()
    os.utime(directory, (0, 0))
    runner.close_idle()
    assert not directory.exists()
    runner.drop("t", code.digest)
    assert text_of(ask(runner, code, word="b")[:1]) == "b"


def test_vendored_modules_are_found(runner: Backend) -> None:
    served = "from slipway_plugin import serve\ndef run(): serve({'echo/say': lambda call: ['vendored']})"
    files = {**to_files("import helper; helper.run()"), "vendor/helper.py": served}
    assert text_of(ask(runner, to_code(read_package(to_archive(files))))) == "vendored"


def test_nothing_is_called_after_the_stop(runner: Backend, moody: Any) -> None:
    assert text_of(ask(runner, moody, word="pid"))
    runner.stop()
    with pytest.raises(PluginFailed):
        ask(runner, moody, word="pid")
