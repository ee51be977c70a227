"""Ruff and mypy over the configured paths, each finding located."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_artisan import tools
from pytest_artisan.gates.gate import Check, CheckEvidence, Gate, Project
from pytest_artisan.gates.tables import StaticAnalysis
from pytest_artisan.verdict.evidence import Finding, NoEvidence, measured

# A gate reads: a project's own settings may ask Ruff to mend what it finds, and then to say nothing of it.
# Nor does it believe a cache: that tells files apart by time and size alone.
_CHECK = ("check", "--no-fix", "--no-fix-only", "--no-cache")
# Any of these is a finding under every rule selection that looks at code at all.
_PLANTED_FOR_RUFF = "import sys\nimport os\ndef f( x ):\n    return undefined_name\nassert (1, 'always true')\n"
_PLANTED_FOR_MYPY = "def planted() -> int:\n    return 'not a number'\n"
# mypy takes its planted files by name; no more of them than a command line holds.
_SHADOWED = 200
_GAVE_UP = ("syntax", "invalid-syntax")


def ruff(project: Project, table: StaticAnalysis) -> CheckEvidence:
    """Findings of `ruff check`; an exit status, a listing or a file count that does not fit is no evidence."""
    paths = _ruff_paths(project, table)
    files = _ruff_files(project, table, paths)
    answer = tools.run("ruff", [*_CHECK, "--output-format=json", *paths], cwd=project.root, timeout_s=table.timeout_s)
    return _ruff_evidence(project, table, answer, len(files))


def ruff_drill(project: Project, table: StaticAnalysis) -> CheckEvidence:
    """The same for a planted module, read from stdin under the name, and so the settings, of a real one."""
    name = _ruff_files(project, table, _ruff_paths(project, table))[0]
    arguments = [*_CHECK, "--output-format=json", "--stdin-filename", name, "-"]
    answer = tools.run("ruff", arguments, cwd=project.root, timeout_s=table.timeout_s, stdin=_PLANTED_FOR_RUFF)
    return _ruff_evidence(project, table, answer, 1)


def _ruff_files(project: Project, table: StaticAnalysis, paths: list[str]) -> list[str]:
    """The files that Ruff's own settings let it see: an exclusion of everything prints no finding either."""
    arguments = ["check", "--show-files", *paths]
    answer = tools.run("ruff", arguments, cwd=project.root, timeout_s=table.timeout_s)
    # Ruff reads pyproject.toml as well, which is no code.
    files = [file for file in answer.stdout.splitlines() if not file.endswith(".toml")]
    if answer.status != 0 or not all(Path(file).is_absolute() for file in files):
        raise NoEvidence(f"ruff check --show-files: {_last_line(answer)}")
    if not files:
        raise NoEvidence(f"ruff checks no file under {', '.join(_paths(project, table.ruff))}")
    return files


def _ruff_paths(project: Project, table: StaticAnalysis) -> list[str]:
    """Ruff leaves out what .gitignore names, also where it is tracked, and so part of the product."""
    paths = _paths(project, table.ruff)
    arguments = ["ls-files", "-z", "--cached", "--ignored", "--exclude-standard", "--", *paths]
    try:
        answer = tools.run("git", arguments, cwd=project.root, timeout_s=table.timeout_s)
    except NoEvidence:
        answer = tools.Answer(1, "", "")
    if answer.status != 0:
        return ["--no-respect-gitignore", "--", *paths]
    tracked = [name for name in answer.stdout.split("\0") if name.endswith((".py", ".pyi", ".ipynb"))]
    # Named files are checked whatever .gitignore says, and with this option not whatever Ruff's own settings say.
    return [
        *(["--force-exclude"] if tracked else []),
        "--",
        *paths,
        *(n for n in tracked if (project.root / n).exists()),
    ]


def _ruff_evidence(project: Project, table: StaticAnalysis, answer: tools.Answer, files: int) -> CheckEvidence:
    def read() -> Iterator[Finding]:
        for entry in json.loads(answer.stdout):
            row, column = entry["location"]["row"], entry["location"]["column"]
            path = _relative(project, entry["filename"])
            yield Finding("ruff", entry["code"] or "syntax", entry["message"], path, int(row), int(column))

    return _evidence("ruff", answer, read, table.ruff_findings, files)


def mypy(project: Project, table: StaticAnalysis) -> CheckEvidence:
    """Errors of mypy, and the number of files it was given."""
    answer = _run_mypy(project, table, [])
    return _mypy_evidence(project, table, answer)


def mypy_drill(project: Project, table: StaticAnalysis) -> CheckEvidence:
    """The same with a planted error in the place of every checked module."""
    sources = _mypy_sources(_run_mypy(project, table, []))[:_SHADOWED]
    with tempfile.TemporaryDirectory(prefix="artisan-drill-") as folder:
        planted = Path(folder, "planted.py")
        planted.write_text(_PLANTED_FOR_MYPY, encoding="utf-8")
        # What mypy knows of libraries saves seconds; a copy, as nothing planted gets into the project's own.
        with suppress(OSError):
            shutil.copytree(project.root / ".mypy_cache", Path(folder, "cache"))
        shadows = [word for source in sources for word in ("--shadow-file", source, str(planted))]
        answer = _run_mypy(project, table, [*shadows, f"--cache-dir={folder}/cache"])
    return _mypy_evidence(project, table, answer)


def _run_mypy(project: Project, table: StaticAnalysis, options: list[str]) -> tools.Answer:
    # In JSON mode mypy counts no files; its verbose log names each one it was given.
    arguments = ["--output=json", "--verbose", *options]
    if project.afresh:
        # Its cache tells files apart by second and size; without one it takes some ten times as long.
        arguments.append("--no-incremental")
    if table.mypy is None:
        # What a build copied there is each module a second time.
        arguments.append(r"--exclude=^(build|dist)/")
    arguments += ["--", *_paths(project, table.mypy)]
    return tools.run("mypy", arguments, cwd=project.root, timeout_s=table.timeout_s)


def _mypy_sources(answer: tools.Answer) -> list[str]:
    sources = re.findall(r"^LOG: +Found source: +BuildSource\(path='([^']+)'", answer.stderr, re.MULTILINE)
    if not sources:
        raise NoEvidence(f"mypy: {_last_line(answer)}")
    return sources


def _mypy_evidence(project: Project, table: StaticAnalysis, answer: tools.Answer) -> CheckEvidence:
    files = len(_mypy_sources(answer))

    def read() -> Iterator[Finding]:
        for line in filter(None, answer.stdout.splitlines()):
            entry = json.loads(line)
            if entry["severity"] == "error":
                path = _relative(project, entry["file"])
                # mypy counts columns from 0, and gives -1 for what has no place in a file.
                line_number, column = max(int(entry["line"]), 1), max(int(entry["column"]) + 1, 1)
                yield Finding("mypy", entry["code"] or "misc", entry["message"], path, line_number, column)

    return _evidence("mypy", answer, read, table.mypy_errors, files)


def _evidence(
    tool: str, answer: tools.Answer, read: Callable[[], Iterator[Finding]], allowed: int, files: int
) -> CheckEvidence:
    """Count the findings; the exit status must agree with them: 0 without any, else not."""
    try:
        findings = tuple(read())
    except (ValueError, KeyError, TypeError):
        raise NoEvidence(f"{tool} answered what can not be read: {_last_line(answer)}") from None
    if (answer.status == 0) != (not findings):
        raise NoEvidence(f"{tool} ended with {answer.status} and {len(findings)} findings: {_last_line(answer)}")
    if answer.status not in (0, 1) or any(finding.rule in _GAVE_UP for finding in findings):
        # It stopped at what it could not read; what else there is to find, nobody saw.
        allowed = 0
    name = {"ruff": "ruff findings", "mypy": "mypy errors"}[tool]
    count = measured(name, len(findings), unit="count", at_most=allowed)
    reach = measured(f"{tool} files", files, unit="count", at_least=1)
    return CheckEvidence((count, reach), findings if len(findings) > allowed else ())


def _last_line(answer: tools.Answer) -> str:
    lines = [line for line in (answer.stderr + "\n" + answer.stdout).splitlines() if not line.startswith("LOG:")]
    return next((line.strip() for line in reversed(lines) if line.strip()), f"exit status {answer.status}, no output")


def _paths(project: Project, configured: tuple[str, ...] | None) -> list[str]:
    """The configured paths; else everything: a guess at what the product is would leave some of it unchecked."""
    missing = [path for path in configured or () if not (project.root / path).exists()]
    if missing:
        raise NoEvidence(f"the configured path {missing[0]!r} does not exist")
    return ["."] if configured is None else list(configured)


def _relative(project: Project, name: str) -> str:
    path = Path(project.root, name)
    return path.relative_to(project.root).as_posix() if path.is_relative_to(project.root) else path.as_posix()


def _absent(project: Project) -> str | None:
    """It applies by itself where the project configures either tool."""
    tools_table: Any = project.pyproject.get("tool", {})
    files = ("ruff.toml", ".ruff.toml", "mypy.ini", ".mypy.ini")
    if {"ruff", "mypy"} & set(tools_table) or any((project.root / file).exists() for file in files):
        return None
    return "neither Ruff nor mypy is configured"


GATE = Gate(
    "static_analysis",
    "Ruff and mypy find nothing",
    StaticAnalysis,
    checks=(
        Check("ruff", ruff, ruff_drill, lambda table: table.ruff != (), planted="an undefined name and unused imports"),
        Check("mypy", mypy, mypy_drill, lambda table: table.mypy != (), planted="a type error in every module"),
    ),
    absent=_absent,
)
