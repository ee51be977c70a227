"""The fault matrix: whatever goes wrong, the answer is never GO, and the reason names the cause."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import pytest

from conftest import Project
from pytest_artisan import session, tools

Prepare = Callable[[Project, pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Fault:
    """One kind of fault: how it is brought about, and what the reason must say."""

    name: str
    reason: str
    tests: str = "def test_one(): pass\n"
    arguments: tuple[str, ...] = ()
    conftest: str = ""
    forked: bool = False
    gates: str = "--artisan-gates"
    prepare: Prepare = lambda project, monkeypatch: None
    whole: bool = True


def _tool(script: str, policy: str = "") -> Prepare:
    """A fake Ruff in the place of the real one; an empty script leaves none."""

    def prepare(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        project.policy(f'required = ["static_analysis"]\n[tool.artisan.static_analysis]\nmypy = []\n{policy}')
        project.write("src/a.py", "x = 1\n")
        folder = project.path / "bin"
        folder.mkdir()
        if script:
            path = folder / "ruff"
            path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(tools, "BESIDE_PYTHON", str(folder))
        monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")

    return prepare


def _backwards(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1_000_000.0])
    monkeypatch.setattr(session, "wall_clock", lambda: next(times, 999_000.0))


STATIC = 'required = ["static_analysis"]\n[tool.artisan.static_analysis]\n'


def _with(policy: str = "", files: Mapping[str, str] = MappingProxyType({})) -> Prepare:
    """A project with this policy and these files."""

    def prepare(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        if policy:
            project.policy(policy)
        for name, text in files.items():
            project.write(name, text)

    return prepare


def _declared(outcome: str, key: str, pattern: str) -> str:
    return f'required = ["unit"]\nexpected = [{{ outcome = "{outcome}", {key} = "{pattern}", why = "7" }}]'


_SEES_NOTHING = _with(STATIC + "mypy = []", {"src/a.py": "import os\n", "ruff.toml": 'exclude = ["*"]\n'})
_MENDS = _with(STATIC + "mypy = []", {"src/a.py": "import os\n", "ruff.toml": "fix = true\n"})
_GIVES_UP = _with(STATIC + "ruff = []\nmypy_errors = 5", {"src/a.py": "def f(:\n", "src/b.py": "x: int = ''\n" * 9})
_FILES_OF_OPTIONS = _with(
    files={"alt.ini": "[pytest]\npython_files = test_it.py\n", "args.txt": "--ignore=test_other.py\n"}
)
_TESTPATHS = _with(files={"pytest.ini": "[pytest]\ntestpaths = test_it.py gone\n"})
_RUNS_TWICE = _with(
    _declared("xfail", "item", "test_it.py::test_one"),
    {
        "conftest.py": """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                runtestprotocol(item, nextitem=nextitem)
            return True
        """
    },
)
_LATE_GATE = _with(
    files={
        "sub/test_b.py": "import pytest\n\n@pytest.mark.contract\ndef test_b(): pass\n",
        "sub/conftest.py": """
        from pytest_artisan.gates import Gate

        def pytest_artisan_gates(config):
            return Gate("contract", "kept")
        """,
        "pytest.ini": "[pytest]\nfilterwarnings = ignore\n",
    }
)
_MEASURES_NOTHING = _with(
    'required = ["mine"]',
    {
        "conftest.py": """
        from pytest_artisan.gates import Check, CheckEvidence, Gate

        def pytest_artisan_gates(config):
            return Gate("mine", "my own", checks=(Check("files", lambda project, table: CheckEvidence(())),))
        """
    },
)


def _failed_before(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = project.path / ".pytest_cache/v/cache"
    cache.mkdir(parents=True)
    (cache / "lastfailed").write_text('{"test_it.py::test_one": true}', encoding="utf-8")


def _another(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.tests("def test_b(): pass\n", "sub/test_b.py")


def _dropped_first(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    _another(project, monkeypatch)
    project.write(
        "sub/conftest.py",
        """
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(items):
            items[:] = [item for item in items if item.name != "test_b"]
            return (yield)
        """,
    )


FLIP = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    report = yield
    report.outcome = "passed"
    return report
"""
FULL = """
import pytest, resource

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_logreport():
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, before[1]))
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
"""
WRAPPER = "@pytest.hookimpl(wrapper=True, tryfirst=True)"
MEASURE = "def test_one(gate): gate.measure({})\n"
LISTING = 'case "$*" in *--show-files*) echo "$PWD/src/a.py"; exit 0;; esac\n'
TWO = "def test_one(): pass\ndef test_two(): pass\n"
KILL = "import os, signal\ndef test_a(): pass\ndef test_b(): os.kill(os.getpid(), signal.SIGKILL)\n" + "".join(
    f"def test_more_{i}(): pass\n" for i in range(8)
)

FAULTS = [
    Fault("a second run behind a declared xfail", r"test_one\|skipped: not declared",
          "N = []\ndef test_ok(): pass\n@pytest.mark.xfail\ndef test_one():\n    N.append(1)\n"
          "    if len(N) > 1: pytest.skip('not declared')\n    assert 0\n", prepare=_RUNS_TWICE),
    Fault("all skipped", r"skipped: no luck", "def test_one(): pytest.skip('no luck')\n"),
    Fault("one skipped", r"test_two\|skipped: rain", "def test_one(): pass\ndef test_two(): pytest.skip('rain')\n"),
    Fault("module skipped", r"module skipped: .*nowhere", "pytest.importorskip('nowhere')\ndef test_one(): pass\n"),
    Fault("xfail", r"xfailed\|.*bug 7", "@pytest.mark.xfail(reason='bug 7')\ndef test_one(): assert 0\n"),
    Fault("xpass", r"xpassed\|.*expects a failure", "@pytest.mark.xfail\ndef test_one(): pass\n"),
    Fault("strict xpass", r"failed\|.*XPASS", "@pytest.mark.xfail(strict=True)\ndef test_one(): pass\n"),
    Fault("-k", r"test_two\|deselected by -k 'one'", TWO, ("-k", "one")),
    Fault("-m", r"test_two\|deselected by -m 'not slow'", "def test_one(): pass\n@pytest.mark.slow\ndef test_two(): 1\n",
          ("-m", "not slow", "-W", "ignore")),
    Fault("--deselect", r"test_two\|deselected by --deselect", TWO, ("--deselect=test_it.py::test_two",)),
    Fault("a conftest drops items", r"test_two\|deselected by a plugin or a conftest", TWO,
          conftest="def pytest_collection_modifyitems(items): del items[1:]\n"),
    Fault("-x", r"test_two\|did not run: stopping after 1 failures",
          "def test_one(): assert 0\ndef test_two(): pass\n", ("-x",)),
    Fault("--maxfail with workers", r"did not run: stopping after 1 failures",
          "def test_0(): assert 0\n" + "".join(f"def test_{i}(): pass\n" for i in range(1, 40)),
          ("-n", "2", "--maxfail=1")),
    Fault("--lf", r"--lf runs only the failures", TWO, ("--lf",), prepare=_failed_before),
    Fault("collection error", r"collection_error\|test_it.py: .*No module named 'nowhere'", "import nowhere\n"),
    Fault("fixture error", r"error\|.*in setup: .*no glue",
          "@pytest.fixture\ndef f(): raise ValueError('no glue')\ndef test_one(f): pass\n"),
    Fault("unknown fixture", r"error\|.*fixture 'nowhere' not found", "def test_one(nowhere): pass\n"),
    Fault("teardown error", r"error\|.*in teardown: .*leak",
          "@pytest.fixture\ndef f():\n    yield\n    raise ValueError('leak')\ndef test_one(f): pass\n"),
    Fault("zero items", r"unit\|no_items\|\|no test was collected", "x = 1\n"),
    Fault("duplicate ids", r"collected 2 times under one id", conftest=(
        "import pytest\n@pytest.hookimpl(tryfirst=True)\n"
        "def pytest_pycollect_makeitem(collector, name, obj):\n"
        "    if name == 'test_one':\n"
        "        return [pytest.Function.from_parent(collector, name=name) for _ in range(2)]\n")),
    Fault("worker killed", r"test_b\|crashed its process", KILL, ("-n", "2"), forked=True),
    Fault("only worker killed", r"did not run", KILL, ("-n", "1", "--max-worker-restart=0"), forked=True),
    Fault("KeyboardInterrupt", r"interrupted\|KeyboardInterrupt", "def test_one(): raise KeyboardInterrupt\n",
          forked=True),
    Fault("pytest.exit", r"interrupted\|Exit enough", "def test_one(): pytest.exit('enough', returncode=0)\n"),
    Fault("os._exit(0)", r"", "import os\ndef test_one(): pass\ndef test_two(): os._exit(0)\n",
          forked=True, whole=False),
    Fault("SIGTERM", r"terminated by SIGTERM",
          "import os, signal\ndef test_one(): os.kill(os.getpid(), signal.SIGTERM)\n", forked=True),
    Fault("measurement NaN", r"p95: no data: the value is nan", MEASURE.format("'p95', float('nan'), unit='ms', at_most=1")),
    Fault("measurement inf", r"p95: no data: the value is inf", MEASURE.format("'p95', float('inf'), unit='ms', at_least=1")),
    Fault("measurement None", r"p95: no data: the value is None", MEASURE.format("'p95', None, unit='ms', at_most=1")),
    Fault("empty sample", r"p95: no data: the sample is empty", MEASURE.format("'p95', 0, unit='ms', at_most=1, n=0")),
    Fault("wrong unit", r"p95 is measured in ms \(\[tool.artisan.load_smoke\] p95_ms\), not in s",
          "@pytest.mark.load_smoke\n" + MEASURE.format("'p95', 1.8, unit='s', at_most=2500"), gates="--artisan-gates=load_smoke"),
    Fault("two units", r"p95 is measured in ms and in s",
          "def test_one(gate): gate.measure('p95', 1, unit='ms', at_most=2)\n"
          "def test_two(gate): gate.measure('p95', 1, unit='s', at_most=2)\n"),
    Fault("limit missing", r"give exactly one of at_most", MEASURE.format("'p95', 1, unit='ms'")),
    Fault("limit violated", r"p95 2731 ms > 2500 ms, n=300", MEASURE.format("'p95', 2731, unit='ms', at_most=2500, n=300")),
    Fault("sample too small", r"reaches over the limit",
          MEASURE.format("'p95', 2400, unit='ms', at_most=2500, n=30, interval=(1900, 2900)")),
    Fault("subtest fails", r"test_one\|failed",
          "def test_one(subtests):\n    with subtests.test('part'): assert 0\n"),
    Fault("a subtest fails before a measurement does", r"test_one\|failed: .*critical advisory", tests=(
          "def test_one(subtests, gate):\n    with subtests.test('part'): assert 0, 'critical advisory'\n"
          "    gate.measure('p95', float('nan'), unit='ms', at_most=1)\n")),
    Fault("passed on retry", r"FLAKY: passed only when it was retried",
          "n = []\ndef test_one():\n    n.append(1)\n    assert len(n) > 1\n", ("--reruns=2",)),
    Fault("passed on retry in a worker", r"FLAKY: passed only when it was retried",
          "n = []\ndef test_one():\n    n.append(1)\n    assert len(n) > 1\n", ("--reruns=2", "-n", "1")),
    Fault("timeout", r"failed\|.*Timeout", "import time\ndef test_one(): time.sleep(30)\n", ("--timeout=0.2",)),
    Fault("value of another type in a worker", r"internal_error\|.*cannot dump|did not run",
          "import numpy\ndef test_one(record_property): record_property('x', numpy.float64(1))\n", ("-n", "1")),
    Fault("plans disagree", r"collected another plan",
          "import os\ndef test_one(): pass\n@pytest.mark.parametrize('p', [os.getpid()])\ndef test_two(p): pass\n", ("-n", "2")),
    Fault("tool missing", r"ruff: no data: ruff is not installed", prepare=_tool("")),
    Fault("tool crashing", r"ruff: no data: ruff was killed by SIGSEGV", prepare=_tool("kill -SEGV $$")),
    Fault("tool failing", r"ruff: no data: ruff answered what can not be read: panicked", prepare=_tool(LISTING + "echo panicked >&2; exit 101")),
    Fault("tool hanging", r"ruff: no data: ruff did not end within 0.2 s",
          prepare=_tool("sleep 60 & wait", "timeout_s = 0.2")),
    Fault("tool printing garbage", r"ruff: no data: ruff answered what can not be read: <html>",
          prepare=_tool(LISTING + "echo '<html>'; exit 0")),
    Fault("tool hiding its findings", r"ruff: no data: ruff ended with 1 and 0 findings",
          prepare=_tool(LISTING + "echo '[]'; exit 1")),
    Fault("tool that checks no file", r"ruff: no data: ruff checks no file", prepare=_SEES_NOTHING),
    Fault("policy changed during the run", r"changed during the run",
          "def test_one(): open('pyproject.toml', 'a').write('local_optional = [\"kpi\"]')\n"),
    Fault("policy broken during the run", r"changed during the run",
          "def test_one(): open('pyproject.toml', 'a').write('[[[')\n"),
    Fault("clock going backwards", r"the clock went backwards", prepare=_backwards),
    Fault("report not writable", r"", "import os\ndef test_one(): os.mkdir('verdict.json')\n", whole=False),
    *(Fault(f"a failure that a plugin reports as passed{where}", r"reported as passed what failed: test_it.py::test_one",
            "def test_one(): assert 0\n", arguments, conftest=FLIP) for where, arguments in (("", ()), (" in a worker", ("-n", "1")))),
    Fault("a journal that fills its disk", "", arguments=("--artisan-journal=/dev/full",), whole=False),
    Fault("a journal whose disk fills up", r"the journal .* could not be written: File too large", conftest=FULL),
    Fault("internal error", r"internal_error\|.*broken plugin",
          conftest="def pytest_runtest_logreport(report): raise RuntimeError('broken plugin')\n"),
    Fault("another plugin fails at the end", r"a plugin failed at the session's end: .*late",
          conftest="def pytest_sessionfinish(): raise RuntimeError('late')\n"),
    Fault("another plugin fails the session", r"exit status 1",
          conftest="import pytest\n@pytest.hookimpl(trylast=True)\n"
                   "def pytest_sessionfinish(session): session.exitstatus = 1\n"),
    Fault("a partial run for a release", r"a release needs every gate", gates="--artisan-gates=unit",
          arguments=("--artisan-purpose=release",)),
    Fault("a narrowed run for a release", r"limited to only test_it.py", arguments=("test_it.py", "--artisan-purpose=release")),
    Fault("--setup-only", r"did not run", arguments=("--setup-only",)),
    Fault("--setup-only of a fixture that measures", r"did not run", arguments=("--setup-only",), tests=(
        "@pytest.fixture\ndef m(gate): gate.measure('x', 1, unit='ms', at_most=2)\ndef test_one(m): assert 0\n")),
    Fault("one subtest's skip behind another's", r"skipped: the database is down", tests=(
        "def test_one(subtests):\n    with subtests.test('a'): pytest.skip('needs Windows 11')\n"
        "    with subtests.test('b'): pytest.skip('the database is down')\n"), prepare=_with(_declared("skip", "reason", "needs Windows*"))),
    Fault("a failed attempt behind a declared skip", r"FLAKY: passed only when it was retried", tests=(
        "N = []\ndef test_one():\n    N.append(1)\n    if len(N) > 1: pytest.skip('not up')\n    assert 0\n"),
        arguments=("--reruns=1",), prepare=_with(_declared("skip", "reason", "not up"))),
    *(Fault(f"a release narrowed by {words[0]}", r"a release needs every gate", TWO, (*words, "--artisan-purpose=release"),
            prepare=_FILES_OF_OPTIONS) for words in (("-calt.ini",), ("-qc", "alt.ini"), ("-qopython_files=test_it.py",),
                                                        ("@args.txt",))),
    Fault("a test that becomes another program", r"can not become another program: /bin/true", forked=True,
          tests="import os\ndef test_one(): os.execvp('/bin/true', ['true'])\n"),
    *(Fault(f"a worker's {name} at the session's end", r"worker gw\d (did not end well|was lost)", arguments=("-n", "2"),
            tests=TWO, conftest=f"import pytest\ndef pytest_sessionfinish(session):\n"
                                f"    if hasattr(session.config, 'workerinput'): {line}\n")
      for name, line in (("error", "raise RuntimeError('leak')"), ("exit", "pytest.exit('leak', 3)"),
                         ("status", "session.exitstatus = 1"))),
    *(Fault(f"a worker's error after its session, in {hook}", r"worker gw0 failed after its session's end",
            arguments=("-n", "1"), conftest=f"import os, pytest\n{mark}\ndef {hook}(): {line} / ('PYTEST_XDIST_WORKER' not in os.environ)\n")
      for hook, mark, line in (("pytest_sessionfinish", WRAPPER, "yield; 1"), ("pytest_unconfigure", "", "1"))),
    Fault("pytest.exit before the session starts", r"", whole=False, forked=True,
          conftest="import pytest\ndef pytest_sessionstart(): pytest.exit('no database', returncode=0)\n"),
    Fault("sys.exit(0) at the session's end", r"a plugin failed at the session's end: SystemExit", forked=True,
          tests="def test_one(): assert 0\n", conftest="import sys\ndef pytest_sessionfinish(): sys.exit(0)\n"),
    *(Fault(f"{leave} in {hook}", "", whole=False, forked=True,
            conftest=f"import pytest, sys\ndef {hook}(): {leave}\n")
      for hook, leave in (("pytest_configure", "pytest.exit('no database', returncode=0)"),
                          ("pytest_addoption", "sys.exit(0)"), ("pytest_cmdline_main", "sys.exit(0)"))),
    Fault("sys.exit(0) when the conftest.py is imported", "", whole=False, forked=True,
          conftest="import sys\nsys.exit(0)\n"),
    *(Fault(f"{line} in {hook}", reason, forked=True,
            conftest=f"import pytest, sys\n{mark}\ndef {hook}(): {before}; {line}\n")
      for hook, line, before, mark, reason in (
          ("pytest_unconfigure", "sys.exit(0)", "1", "", r"failed at the session's end: SystemExit\(0\)"),
          ("pytest_terminal_summary", "sys.exit(0)", "1", "", r"failed at the session's end: SystemExit\(0\)"),
          ("pytest_terminal_summary", "1 / 0", "1", "", r"failed at the session's end: ZeroDivisionError"),
          ("pytest_unconfigure", "1 / 0", "1", "", r"failed at the session's end: ZeroDivisionError"),
          ("pytest_sessionfinish", "1 / 0", "yield", WRAPPER, r"failed at the session's end: ZeroDivisionError"))),
    Fault("a plugin that fails in its cleanup", r"failed at the session's end: ZeroDivisionError", forked=True,
          conftest="def pytest_configure(config): config.add_cleanup(lambda: 1 / 0)\n"),
    Fault("a plugin that worsens the exit status last of all", r"pytest ended with exit status 1",
          conftest=f"import pytest\n{WRAPPER}\ndef pytest_sessionfinish(session): yield; session.exitstatus = 1\n"),
    Fault("a forked child that goes on", r"test_one\|failed: assert not \d+ > 0", forked=True, tests=(
          "import os\ndef test_one():\n    pid = os.fork()\n    if pid: os.waitpid(pid, 0)\n    assert not pid > 0\n")),
    Fault("a conftest.py that can not be imported", "", whole=False, conftest="import nowhere\n"),
    Fault("an unknown option", "", arguments=("--nowhere",), whole=False),
    Fault("a policy that can not be read", "", whole=False,
          prepare=_with("requird = []")),
    Fault("a check that measured nothing", r"no data: it measured nothing", tests="", prepare=_MEASURES_NOTHING),
    Fault("a tool that would mend the code", r"ruff findings \d > 0", prepare=_MENDS),
    Fault("a measurement of another item", r"RuntimeError: test_it.py::test_one is over", tests=(
        "G = []\ndef test_one(gate): G.append(gate)\n"
        "def test_two(): G[0].measure('p95', 9999, unit='ms', at_most=2500)\n")),
    *(Fault(f"a thread that measures too late, with {workers} workers", r"test_one is over|exit status 1", arguments=("-n", workers, "-Wignore"),
            tests="import threading\nGO = threading.Event()\ndef test_one(gate):\n"
                  "    def late():\n        GO.wait(9)\n        gate.measure('p95', 9999, unit='ms', at_most=2500)\n"
                  "    global thread\n    thread = threading.Thread(target=late)\n    thread.start()\n"
                  "def test_two():\n    GO.set()\n    thread.join()\n")
      for workers in ("0", "1")),
    Fault("a limit looser than the policy's", r"p95: at_most=5000 asks less than \[tool.artisan.load_smoke\] p95_ms = 2500",
          "@pytest.mark.load_smoke\n" + MEASURE.format("'p95', 4900, unit='ms', at_most=5000"), gates="--artisan-gates=load_smoke"),
    Fault("a floor lower than the policy's", r"episode return: at_least=5 asks less than \[tool.artisan.kpi\]",
          "@pytest.mark.kpi\n" + MEASURE.format("'episode return', 6, unit='1', at_least=5"), gates="--artisan-gates=kpi"),
    Fault("a gate of a folder's conftest", r"policy_changed\|.*a conftest.py below the root adds contract", prepare=_LATE_GATE),
    Fault("collect_ignore", r"skipped\|test_it.py\|.*kept from collection", conftest="collect_ignore_glob = ['test_i*']\n",
          prepare=_another),
    Fault("a folder in collect_ignore", r"skipped\|sub\|.*kept from collection", conftest="collect_ignore = ['sub']\n",
          prepare=_another),
    Fault("a hook that ignores files", r"skipped\|sub/test_b.py\|.*kept from collection", prepare=_another, arguments=("-n", "2"),
          conftest="def pytest_ignore_collect(collection_path): return True if 'b.' in collection_path.name else None\n"),
    Fault("a test class with a constructor", r"skipped\|test_it.py::TestB\|.*none of its tests was collected", tests=(
        "def test_one(): pass\nclass TestB:\n    def __init__(self): pass\n    def test_two(self): assert 0\n"),
        arguments=("-Wignore",)),
    Fault("testpaths that names nothing", r"skipped\|gone\|.*there is no such path", prepare=_TESTPATHS),
    Fault("a folder's conftest drops items first", r"test_b.py::test_b\|deselected by a plugin or a conftest",
          prepare=_dropped_first),
    Fault("items dropped while they are collected", r"test_two\|deselected by a plugin or a conftest", TWO, conftest=(
        "import pytest\n@pytest.hookimpl(wrapper=True)\ndef pytest_make_collect_report(collector):\n"
        "    report = yield\n    gone = [n for n in report.result if n.name == 'test_two']\n"
        "    report.result = [n for n in report.result if n not in gone]\n"
        "    if gone: collector.config.hook.pytest_deselected(items=gone)\n    return report\n")),
    Fault("an allowance for a tool that gave up", r"mypy errors \d > 0", prepare=_GIVES_UP),
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_never_go(fault: Fault, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.tests(fault.tests)
    if fault.conftest:
        project.write("conftest.py", fault.conftest)
    fault.prepare(project, monkeypatch)
    project.report.write_text("GO of an earlier run", encoding="utf-8")
    run = project.run(*fault.arguments, gates=fault.gates, forked=fault.forked)
    assert run.status != 0
    assert not re.search(r"^GO", run.out, re.MULTILINE)
    if fault.whole:
        assert run.verdict is not None
        assert not run.verdict.go
        assert re.search(fault.reason, run.told), run.told
        assert re.search(r"^NO-GO$", run.out + "\n" + run.err, re.MULTILINE)
    else:
        assert not project.report.is_file(), "a report that is not whole must be absent"
