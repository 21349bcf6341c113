"""What CodeSandbox promises, over every backend; run in a plain and in a patched process.

A backend that is a service of others (http) is held to what it passes on; how
that service keeps its runs apart is its own matter.
"""

import hashlib
import itertools
import math
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from api.core.ports import Cancel, CodeFailed, CodeSandbox, JSONObject
from tests.contracts.discovery import names
from tests.sandboxes import make_sandbox, processes
from tests.waiting import assert_quick, wait_until

NAMES = names("sandbox")
OURS = [name for name in NAMES if name != "http"]
RUNS = 160
PARALLEL = 16
BIG = "文" * 1_000_000
ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"

PYTHON_HASH = """
def main(x, n):
    total = 0
    for place, sign in enumerate(x):
        total = (total * 31 + ord(sign) * n + place) % 1000000007
    return {"x": x, "total": total}
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], CodeSandbox]]:
    """Gives a backend by name, one and the same for all tests: what a test does must not hurt the next."""
    made: dict[str, CodeSandbox] = {}
    with ExitStack() as stack:

        def give(name: str) -> CodeSandbox:
            if name not in made:
                made[name] = stack.enter_context(make_sandbox(name, tmp_path_factory.mktemp(name)))
            return made[name]

        yield give


@pytest.fixture(params=NAMES)
def sandbox(request: pytest.FixtureRequest, shared: Callable[[str], CodeSandbox]) -> CodeSandbox:
    return shared(request.param)


@pytest.fixture(params=OURS)
def our_sandbox(request: pytest.FixtureRequest, shared: Callable[[str], CodeSandbox]) -> CodeSandbox:
    return shared(request.param)


def run(
    sandbox: CodeSandbox,
    code: str,
    inputs: JSONObject | None = None,
    *,
    language: str = "python3",
    timeout_s: float = 10.0,
    cancel: Cancel | None = None,
) -> JSONObject:
    return sandbox.run(language, code, inputs or {}, timeout_s=timeout_s, cancel=cancel or Cancel())


def render(
    sandbox: CodeSandbox,
    template: str,
    timeout_s: float = 5.0,
    cancel: Cancel | None = None,
    **variables: Any,
) -> str:
    return sandbox.render(template, variables, timeout_s=timeout_s, cancel=cancel or Cancel())


def failure(sandbox: CodeSandbox, code: str, **options: Any) -> str:
    """Return what the code fails with."""
    with pytest.raises(CodeFailed) as caught:
        run(sandbox, code, **options)
    return str(caught.value)


VALUES: list[Any] = [
    None,
    True,
    0,
    -(2**63) + 1,
    2**53 + 1,
    1.5,
    1e300,
    0.1,
    "",
    "中文 🎉 \\ \" ' \n \r\n \t </script> ${x} {{x}}",
    "\u2028\u0000",
    [],
    {},
    [1, [2.5, [None, {"a": [True]}]]],
    {"键": {"__proto__": 1, "x y": [""]}},
    {"main": 1, "code": "x", "inputs": {}, "error": "no"},
]


@pytest.mark.parametrize("value", VALUES)
def test_python_gets_and_gives_every_value_as_it_is(sandbox: CodeSandbox, value: Any) -> None:
    given = run(sandbox, "def main(x): return {'x': x, 'kind': type(x).__name__}", {"x": value})
    assert given == {"x": value, "kind": type(value).__name__}
    assert type(given["x"]) is type(value)


@pytest.mark.parametrize("value", [value for value in VALUES if value not in (-(2**63) + 1, 2**53 + 1)])
def test_javascript_gets_and_gives_every_value_as_it_is(sandbox: CodeSandbox, value: Any) -> None:
    code = "function main({x}) { return {x, isNull: x === null} }"
    assert run(sandbox, code, {"x": value}, language="javascript") == {"x": value, "isNull": value is None}


def test_big_inputs_and_results_go_through(sandbox: CodeSandbox) -> None:
    code = "def main(x): return {'x': x + '!', 'n': len(x)}"
    assert run(sandbox, code, {"x": BIG}) == {"x": BIG + "!", "n": len(BIG)}


@pytest.mark.parametrize("value", ["\ud800", 2**70])
def test_what_cannot_be_sent_to_a_process_fails_in_words(sandbox: CodeSandbox, value: Any) -> None:
    code = "def main(x): return {'x': 1}"
    assert "cannot be written as JSON" in failure(sandbox, code, inputs={"x": value})
    assert "cannot be written as JSON" in failure(sandbox, "# \ud800\n" + code, inputs={"x": 1})
    with pytest.raises(CodeFailed, match="cannot be written as JSON"):
        render(sandbox, "{{ x | string }}", x=value)
    assert run(sandbox, code, {"x": 1}) == {"x": 1}


def test_javascript_may_answer_later(sandbox: CodeSandbox) -> None:
    code = "async function main({a}) { await null; return {a: a + 1} }"
    assert run(sandbox, code, {"a": 1}, language="javascript") == {"a": 2}


@pytest.mark.parametrize(
    ("language", "code", "sentence"),
    [
        ("python3", "def main():\n    x = {}\n    return {'x': x['key']}", "KeyError"),
        ("python3", "def main(:", "SyntaxError"),
        ("python3", "x = 1", "main"),
        ("python3", "def main(a): return {}", "main"),
        ("python3", "def main(): return [1]", "it returned a list"),
        ("python3", "def main(): return None", "it returned nothing"),
        ("python3", "def main(): return {'x': {1, 2}}", "JSON"),
        ("python3", "def main(): return {'x': float('nan')}", "JSON"),
        ("javascript", "function main() { return {x: y.z} }", "y is not defined"),
        ("javascript", "function main( {", "SyntaxError"),
        ("javascript", "function main() {}", "returned nothing"),
        ("javascript", "function main() { return 'x' }", "it returned a text"),
        ("javascript", "async function main() { throw new Error('later') }", "later"),
        ("cobol", "x", "'cobol'"),
    ],
)
def test_code_that_fails_says_why(sandbox: CodeSandbox, language: str, code: str, sentence: str) -> None:
    assert sentence in failure(sandbox, code, language=language)
    assert run(sandbox, "def main(): return {'next': 1}") == {"next": 1}


def test_python_failure_shows_the_line_of_the_author(sandbox: CodeSandbox) -> None:
    said = failure(sandbox, "def main():\n    return {'x': 1 / 0}")
    assert "line 2, in main" in said
    assert "__inputs__" not in said


def test_python_knows_json_without_an_import(sandbox: CodeSandbox) -> None:
    code = "def main(x): return {'x': json.loads(b64decode(x).decode())}"
    assert run(sandbox, code, {"x": "WzFd"}) == {"x": [1]}


@pytest.mark.parametrize(
    "code",
    [
        "def main():\n    def each(): yield 1\n    return {'x': list(each())}",
        "import urllib.parse\ndef main(): return {}",
        "class A(dict): pass\ndef main(): return {}",
    ],
)
def test_python_that_monty_lacks_says_what_has_it(code: str, shared: Callable[[str], CodeSandbox]) -> None:
    assert "SANDBOX=bubblewrap runs full CPython" in failure(shared("monty"), code)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python3", "def main():\n    while True: pass"),
        ("python3", "while True: pass"),
        ("python3", "import time\ndef main():\n    time.sleep(30)"),
        ("javascript", "function main() { for (;;); }"),
        ("javascript", "function main() { return {x: /(a+)+$/.test('a'.repeat(50) + 'b')} }"),
        ("javascript", "async function main() { await new Promise(() => {}) }"),
    ],
)
def test_code_over_its_time_is_ended_and_names_the_limit(
    our_sandbox: CodeSandbox, language: str, code: str
) -> None:
    run(our_sandbox, "def main(): return {}")
    started = time.monotonic()
    said = failure(our_sandbox, code, language=language, timeout_s=0.5)
    assert_quick(time.monotonic() - started, 3.0)
    assert "limit" in said
    assert any(limit in said for limit in ("0.5 s", "0.5s", "500ms"))
    assert run(our_sandbox, "def main(): return {'next': 1}") == {"next": 1}


def test_code_over_its_time_is_ended_soon_after(our_sandbox: CodeSandbox) -> None:
    run(our_sandbox, "def main(): return {}")
    started = time.monotonic()
    failure(our_sandbox, "def main():\n    while True: pass", timeout_s=1.0)
    assert_quick(time.monotonic() - started, 1.5)


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python3", "def main(): return {'x': len([0] * (2 * 10**9 // 8))}"),
        ("python3", "def main():\n    x = ['a' * 1000000]\n    while True: x.append('a' * len(x) * 1000000)"),
        ("javascript", "function main() { let a = []; for (;;) a.push(new Array(1000).fill(7)) }"),
        ("javascript", "function main() { let a = []; for (;;) a.push(new Uint8Array(1e8).fill(1)) }"),
    ],
)
def test_code_over_its_memory_names_the_limit(our_sandbox: CodeSandbox, language: str, code: str) -> None:
    assert "limit of memory" in failure(our_sandbox, code, language=language)
    assert run(our_sandbox, "def main(): return {'next': 1}") == {"next": 1}


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python3", "def main():\n    for _ in range(100000): print('x' * 1000)\n    return {}"),
        ("python3", "def main():\n    while True: print('x' * 1000)"),
        ("javascript", "function main() { for (;;) console.log('x'.repeat(1000)) }"),
    ],
)
def test_code_that_prints_too_much_names_the_limit(
    our_sandbox: CodeSandbox, language: str, code: str
) -> None:
    assert "printed more than 1 MB" in failure(our_sandbox, code, language=language)


def test_what_code_prints_is_not_its_result(sandbox: CodeSandbox) -> None:
    code = "def main():\n    print('{\"x\": 2}', end='')\n    print('<<RESULT>>')\n    return {'x': 1}"
    assert run(sandbox, code) == {"x": 1}
    code = "function main() { console.log('{\"x\": 2}'); return {x: 1} }"
    assert run(sandbox, code, language="javascript") == {"x": 1}


def test_endless_recursion_fails(our_sandbox: CodeSandbox) -> None:
    assert "recursion" in failure(our_sandbox, "def f(): return f()\ndef main(): return {'x': f()}").lower()
    said = failure(
        our_sandbox, "const f = () => f() + 1; function main() { return {x: f()} }", language="javascript"
    )
    assert "call stack" in said


def attempt(expression: str, imports: str = "os") -> str:
    """Return code that tells what an expression gives, or that it is refused."""
    return (
        "def main():\n"
        "    try:\n"
        f"        import {imports}\n"
        f"        return {{'x': str({expression})}}\n"
        "    except Exception as exc:\n"
        "        return {'x': 'refused ' + type(exc).__name__}\n"
    )


def test_nothing_of_the_environment_is_seen(
    monkeypatch: pytest.MonkeyPatch, our_sandbox: CodeSandbox
) -> None:
    monkeypatch.setenv("SLIPWAY_SECRET", "seen-me")
    for expression in (
        "dict(os.environ)",
        "os.getenv('SLIPWAY_SECRET')",
        "open('/proc/self/environ').read()",
    ):
        told = str(run(our_sandbox, attempt(expression))["x"])
        assert "seen-me" not in told
        assert "SECRET" not in told
    code = "function main() { return {x: typeof process === 'undefined' ? '' : JSON.stringify(process.env)} }"
    assert "seen-me" not in str(run(our_sandbox, code, language="javascript")["x"])


def test_no_file_of_ours_is_seen(our_sandbox: CodeSandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("seen-me")
    for expression in (
        f"open({str(secret)!r}).read()",
        f"os.listdir({str(tmp_path)!r})",
        f"open({str(Path(__file__))!r}).read()",
        "open('/etc/shadow').read()",
    ):
        assert str(run(our_sandbox, attempt(expression))["x"]).startswith("refused"), expression
    init = attempt("open('/proc/1/environ').read() or 1 / 0")
    assert str(run(our_sandbox, init)["x"]).startswith("refused")
    assert secret.read_text() == "seen-me"


def test_no_listener_of_ours_is_reached(our_sandbox: CodeSandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        for imports, expression in (
            ("socket", f"socket.create_connection(('127.0.0.1', {port}), 2)"),
            ("urllib.request", f"urllib.request.urlopen('http://127.0.0.1:{port}/', timeout=2)"),
        ):
            assert str(run(our_sandbox, attempt(expression, imports))["x"]).startswith("refused")
        call = f"fetch('http://127.0.0.1:{port}/')"
        code = f"async function main() {{ const r = await {call}; return {{x: r.status}} }}"
        failure(our_sandbox, code, language="javascript")
        with pytest.raises(TimeoutError):
            listener.accept()


@pytest.mark.parametrize(
    ("imports", "expression"),
    [
        ("os", "os.fork()"),
        ("os", "os.posix_spawn('/bin/true', ['true'], {})"),
        ("subprocess", "subprocess.run(['/bin/true'])"),
    ],
)
def test_no_process_can_be_started(our_sandbox: CodeSandbox, imports: str, expression: str) -> None:
    assert str(run(our_sandbox, attempt(expression, imports))["x"]).startswith("refused")


SPOIL_PYTHON = """
import json
secret = "seen-me"
try:
    json.seen = 1
    open("/tmp/seen", "w").write("me")
except Exception:
    pass
def main(): return {}
"""
SPOIL_JAVASCRIPT = """
globalThis.secret = 1;
Object.prototype.seen = 2;
JSON.stringify = () => '{"x": 3}';
function main() { return {} }
"""


def test_no_run_sees_another(our_sandbox: CodeSandbox) -> None:
    run(our_sandbox, SPOIL_PYTHON)
    assert "refused" in str(run(our_sandbox, attempt("secret"))["x"])
    assert "refused" in str(run(our_sandbox, attempt("open('/tmp/seen').read()"))["x"])
    assert "refused" in str(run(our_sandbox, attempt("json.seen", "json"))["x"])
    run(our_sandbox, SPOIL_JAVASCRIPT, language="javascript")
    look = "function main({x}) { return {x, seen: typeof secret + typeof ({}).seen} }"
    assert run(our_sandbox, look, {"x": 1}, language="javascript") == {"x": 1, "seen": "undefinedundefined"}


def cancelled_after(wait_s: float, work: Callable[[Cancel], object]) -> float:
    """Return how long work went on when it was cancelled; it must say that it was stopped."""
    cancel = Cancel()
    set_at: list[float] = []

    def stop() -> None:
        set_at.append(time.monotonic())
        cancel.set()

    timer = threading.Timer(wait_s, stop)
    timer.start()
    with pytest.raises(CodeFailed, match="stopped"):
        work(cancel)
    ended = time.monotonic()
    timer.join()
    return ended - set_at[0]


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python3", "def main():\n    while True: pass"),
        ("javascript", "function main() { for (;;); }"),
    ],
)
def test_code_that_is_cancelled_ends_at_once(sandbox: CodeSandbox, language: str, code: str) -> None:
    assert_quick(
        cancelled_after(0.5, lambda cancel: run(sandbox, code, language=language, cancel=cancel)), 0.3
    )
    assert run(sandbox, "def main(): return {'next': 1}") == {"next": 1}


def test_template_that_is_cancelled_ends_early(sandbox: CodeSandbox) -> None:
    assert_quick(cancelled_after(0.5, lambda cancel: render(sandbox, ENDLESS, 60.0, cancel)), 10)
    assert render(sandbox, "{{ x | upper }}", x="next") == "NEXT"


def test_code_cancelled_before_does_not_run(sandbox: CodeSandbox) -> None:
    cancel = Cancel()
    cancel.set()
    assert "stopped" in failure(sandbox, "def main(): return {}", cancel=cancel)


def test_code_ends_with_the_time_of_the_run(our_sandbox: CodeSandbox) -> None:
    started = time.monotonic()
    failure(our_sandbox, "def main():\n    while True: pass", cancel=Cancel(total_s=1.0))
    assert_quick(time.monotonic() - started, 3.0)


def test_many_runs_side_by_side_all_give_their_own(
    sandbox: CodeSandbox, request: pytest.FixtureRequest
) -> None:
    count = RUNS if "monty" in request.node.name else PARALLEL * 2
    assert run_many(sandbox, count, PARALLEL) == []


def run_many(sandbox: CodeSandbox, runs: int, parallel: int) -> list[str]:
    """Run code with checked results on so many threads; return what went wrong."""
    wrong: list[str] = []
    numbers = iter(range(runs))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            text = hashlib.sha256(str(number).encode()).hexdigest() + "中文"
            total = 0
            for place, sign in enumerate(text):
                total = (total * 31 + ord(sign) * number + place) % 1000000007
            try:
                given = run(sandbox, PYTHON_HASH, {"x": text, "n": number}, timeout_s=30.0)
            except Exception as error:  # noqa: BLE001 - told by the test
                wrong.append(repr(error))
            else:
                if given != {"x": text, "total": total}:
                    wrong.append(f"{number}: {given}")

    threads = [threading.Thread(target=work) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return wrong


def test_other_work_goes_on_while_code_runs(our_sandbox: CodeSandbox) -> None:
    run(our_sandbox, "def main(): return {}")
    ticks = [time.monotonic()]
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            ticks.append(time.monotonic())

    watcher = threading.Thread(target=watch)
    watcher.start()
    failure(our_sandbox, "def main():\n    while True: pass", timeout_s=1.0)
    is_over.set()
    watcher.join()
    ticks.append(time.monotonic())
    assert_quick(max(after - before for before, after in itertools.pairwise(ticks)), 0.5)


@pytest.mark.parametrize("name", OURS)
def test_stop_leaves_no_process_and_starts_none(name: str, tmp_path: Path) -> None:
    before = processes()
    with make_sandbox(name, tmp_path) as sandbox:
        run(sandbox, "def main(): return {}")
        assert render(sandbox, "{{ x | upper }}", x="y") == "Y"
        sandbox.stop()
        failure(sandbox, "def main(): return {}")
    wait_until(lambda: not processes() - before)


@pytest.mark.parametrize(
    ("template", "variables", "text"),
    [
        ("", {}, ""),
        ("text only\n", {}, "text only"),
        ("a\r\nb\n\n", {}, "a\nb\n"),
        ("{{ x }}, {{x}}!", {"x": "中文"}, "中文, 中文!"),
        ("{{ x }}", {"x": None}, "None"),
        ("{{ x }}", {"x": True}, "True"),
        ("{{ x }}", {"x": 1.0}, "1.0"),
        ("{{ x }}", {"x": [1, "a"]}, "[1, 'a']"),
        ("{{ x }}", {"x": {"a": None}}, "{'a': None}"),
        ("{{ x.y.z }}", {"x": {"y": {"z": 3}}}, "3"),
        ("{{ x.y }}", {"x": {}}, ""),
        ("{{ x.y }}", {"x": "text"}, ""),
        ("{{ y }}", {"x": 1}, ""),
        ("{{ true }}", {"true": "x"}, "True"),
        ("{{ x }}", {"x": "{{ y }}{% z %}"}, "{{ y }}{% z %}"),
        ("{{ x }}", {"x": "<b>&"}, "<b>&"),
        ("a {{- x -}} b", {"x": 1}, "a1b"),
        ("{# note #}{{ x }}", {"x": 1}, "1"),
        ("{% for i in x %}{{ loop.index }}{{ i }};{% endfor %}", {"x": ["a", "b"]}, "1a;2b;"),
        ("{{ x | upper }}{{ x | length }}", {"x": "ab"}, "AB2"),
        ("{{ x ~ (1 + 2) }}{{ x * 2 }}", {"x": "a"}, "a3aa"),
        ("{{ x.items() | list }}", {"x": {"a": 1}}, "[('a', 1)]"),
        ("{{ x['a'] }}{{ y[0] }}", {"x": {"a": 1}, "y": [2]}, "12"),
        ("{% if x > 1 %}big{% else %}small{% endif %}", {"x": 2}, "big"),
        ("{% raw %}{{ x }}{% endraw %}", {"x": 2}, "{{ x }}"),
    ],
)
def test_template_is_filled_as_jinja_does(
    sandbox: CodeSandbox, template: str, variables: dict[str, Any], text: str
) -> None:
    assert render(sandbox, template, **variables) == text


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ ''.__class__ }}", "unsafe"),
        ("{{ x.__class__.__mro__ }}", "unsafe"),
        ("{{ self.__init__.__globals__ }}", "unsafe"),
        ("{{ x.append(1) }}", "unsafe"),
        ("{% for i in range(10 ** 9) %}{% endfor %}", "Range too big"),
        (ENDLESS, "limit of time"),
        ("{{ 'a' * 10 ** 9 }}", "too long"),
        ("{{ x * 10 ** 9 }}", "too long"),
        ("{{ y.z }}", "undefined"),
        ("{{ 9 ** 9999 }}", "too large"),
        ("{{ '%999999999d' % 1 }}", "cannot be formatted"),
        ("{{ '{:>999999999}'.format(1) }}", "unsafe"),
        ("{{ 'a'.ljust(10 ** 9) }}", "unsafe"),
        ("{% for i in range(99999) %}{{ 'a' * 9999 }}{% endfor %}", "more than 10,000,000 characters"),
        ("{{ x.y.z }}", "no attribute"),
        ("{% if %}", "line 1"),
        ("{% include 'x' %}", "fails"),
    ],
)
def test_template_that_would_do_harm_fails(sandbox: CodeSandbox, template: str, sentence: str) -> None:
    started = time.monotonic()
    with pytest.raises(CodeFailed, match=sentence):
        render(sandbox, template, timeout_s=1.0, x=[1])
    assert_quick(time.monotonic() - started, 3.0)
    assert render(sandbox, "{{ x | upper }}", x="next") == "NEXT"


GROWING = """
{%- set n = namespace(x="aaaaaaaaaa") -%}
{%- for i in range(50) %}{% set n.x = n.x.replace("a", "aaaaaaaaaa") %}{% endfor %}
"""


def test_template_that_grows_a_text_meets_a_limit(sandbox: CodeSandbox) -> None:
    with pytest.raises(CodeFailed, match="limit of memory"):
        render(sandbox, GROWING)


def test_plain_template_costs_no_process(sandbox: CodeSandbox) -> None:
    before = processes()
    assert render(sandbox, "{{ a.b }} and {{ c }}", a={"b": 1}, c="中") == "1 and 中"
    assert processes() <= before  # those of tests before may end meanwhile


def test_result_of_a_float_stays_one(sandbox: CodeSandbox) -> None:
    given = run(sandbox, "def main(x): return {'x': x / 2, 'y': 2.0}", {"x": 5})
    assert given == {"x": 2.5, "y": 2.0}
    assert isinstance(given["y"], float)
    assert not math.isnan(float(str(given["x"])))
