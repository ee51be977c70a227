"""The gate `pull_request` on real repositories: nothing hides what a branch changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from branch_house import NOW, TEMPLATE, TICKED, Files, Repository, started_in, text, told
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_artisan.gates.changing.boxes import asked_of, boxes
from pytest_artisan.gates.changing.change import Base, Change
from pytest_artisan.gates.changing.evidence import age_of, name_of, size_of
from pytest_artisan.gates.changing.github import Request, Side
from pytest_artisan.gates.gate import state_of
from pytest_artisan.gates.tables import PullRequest
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import State


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return started_in(tmp_path_factory.mktemp("started"))


@pytest.fixture
def repository(started: Repository, tmp_path: Path) -> Repository:
    return started.copy(tmp_path / "repository")


GENERATED: Files = {
    ".gitattributes": "*.gen linguist-generated\nkept.lock linguist-generated=false\nuv.lock -linguist-generated\n"
}
# What the base has, what the change makes of it, the lines that count, and a part of what is told.
COUNTED: dict[str, tuple[Files, Files, int, str]] = {
    "added and deleted": ({}, {"a.txt": "a\n" * 40 + "b\n" * 5}, 15, ""),
    "nothing": ({}, {}, 0, ""),
    "as many as may be": ({}, {"b": text(399)}, 399, ""),
    "the limit itself": ({}, {"b": text(400)}, 400, ""),
    "a deleted file": ({}, {"a.txt": None}, 50, ""),
    "a renamed file": ({}, {"a.txt": None, "b.txt": "a\n" * 50}, 0, ""),
    "a renamed file, changed": ({}, {"a.txt": None, "b.txt": "a\n" * 50 + "b\n"}, 1, ""),
    "another file in its place": ({}, {"a.txt": None, "b.txt": text(50)}, 100, ""),
    "a binary file": ({}, {"a.bin": b"a\0b\n" * 900}, 0, "no lines are counted in 1 file (a.bin)"),
    "an empty file that turns binary": ({"b": ""}, {"b": b"\0"}, 0, "no lines are counted in 1 file (b)"),
    "binary, still": ({"b": b"\0\n"}, {"b": b"\0" + text(500).encode()}, 0, "no lines are counted in 1 file (b)"),
    "a lock file": ({}, {"sub/poetry.lock": text(900), "b": "b\n"}, 1, "900 lines in 1 file (sub/poetry.lock)"),
    "a lock file that counts": (GENERATED, {"uv.lock": text(900)}, 900, ""),
    "generated": (GENERATED, {"x/y.gen": text(700), "b": "b\n"}, 1, "700 lines in 1 file (x/y.gen)"),
    "a forged attribute": ({}, {".gitattributes": "*.py linguist-generated\n", "b.py": text(500)}, 501, ""),
    "a forged attribute nearby": ({}, {"s/.gitattributes": "* linguist-generated -diff\n", "s/b.py": text(500)}, 501, ""),
    "an attribute taken away": (GENERATED, {".gitattributes": None, "b.gen": text(9)}, 3, "9 lines in 1 file"),
    "no diff by attribute": ({".gitattributes": "*.py -diff\n"}, {"b.py": text(450)}, 450, ""),
    "out of hiding": ({**GENERATED, "b.gen": text(500)}, {"b.gen": None, "b.py": text(500)}, 500, "500 lines in 1 file (b.gen)"),
    "into hiding": ({**GENERATED, "b.py": text(500)}, {"b.gen": text(500), "b.py": None}, 500, "500 lines in 1 file (b.gen)"),
    "within hiding": ({**GENERATED, "b.gen": text(500)}, {"b.gen": None, "c.gen": text(500)}, 0, "git left out: 0 lines"),
    "names of all kinds": ({}, {"가 나/다\t라\n.py": "1\n2\n", "-x": "3\n", ":(y)": "4\n", 'q"\\': "5\n"}, 5, ""),
    "no newline at the end": ({}, {"b": "b"}, 1, ""),
    "a huge file": ({}, {"b": "x" * 99 + "\n" + "y\n" * 300_000}, 300_001, ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def changes(started: Repository, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Change]:
    made = started.copy(tmp_path_factory.mktemp("changes") / "repository")
    return made.changes({case: (before, after) for case, (before, after, _, _) in COUNTED.items()})


@pytest.mark.parametrize("case", COUNTED)
def test_what_counts_is_what_somebody_has_to_read(case: str, changes: dict[str, Change]) -> None:
    *_, lines, remark = COUNTED[case]
    evidence = size_of(changes[case])

    assert evidence.measurements[0].value == lines
    assert remark in told(evidence)
    assert bool(told(evidence)) == bool(remark)
    assert state_of(evidence) is (State.GO if lines < 400 else State.NO_GO)


def test_text_that_turns_binary_hides_its_lines_from_nobody(started: Repository, tmp_path: Path) -> None:
    made, binary = started.copy(tmp_path / "repository"), text(500).encode() + b"\0\n"
    cases: dict[str, tuple[Files, Files]] = {
        "here": ({}, {"a.txt": binary}),
        "elsewhere": ({"b": text(500)}, {"b": None, "c": binary}),
    }
    for change in made.changes(cases).values():
        evidence = size_of(change)
        assert state_of(evidence) is State.INCONCLUSIVE
        assert "what was text is binary now in 1 file" in evidence.measurements[0].doubt


def test_names_that_can_not_be_told_apart_are_no_evidence(started: Repository, tmp_path: Path) -> None:
    made = started.copy(tmp_path / "repository")
    before: Files = {**GENERATED, "\udcfe.gen": text(500)}
    after: Files = {"\udcfe.gen": None, "\udcfe.py": text(500), b"\xfd.py".decode(errors="surrogateescape"): "b\n"}
    with pytest.raises(NoEvidence, match="names that can not be told apart"):
        size_of(made.changes({"": (before, after)})[""])


def test_no_setting_and_no_program_of_this_machine_has_a_word_in_it(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".gitconfig").write_text("[diff]\nexternal=false\nrenames=false\n[core]\nattributesFile=~/all\n")
    (tmp_path / "all").write_text("* linguist-generated binary\n")
    for key, value in {
        "diff.external": "touch ran; false", "diff.x.textconv": "touch ran; true", "diff.x.command": "touch ran",
        "core.attributesFile": str(tmp_path / "all"), "diff.algorithm": "patience", "diff.orderFile": "/dev/null",
        "diff.ignoreSubmodules": "all", "diff.noprefix": "true", "color.ui": "always",
    }.items():  # fmt: skip
        repository.git("config", key, value)
    (repository.path / ".git/info").mkdir(exist_ok=True)
    (repository.path / ".git/info/attributes").write_text("* diff=x linguist-generated\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    repository.commit({".gitattributes": "*.py diff=x\n"}, hours=24)
    repository.branch()
    repository.commit({"b.py": text(450), "a.txt": None, "c.txt": "a\n" * 50})

    assert size_of(repository.change()).measurements[0].value == 450
    assert not (repository.path / "ran").exists()


def test_a_submodule_that_moves_is_told(repository: Repository) -> None:
    repository.branch()
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{repository.id()},lib")
    (repository.path / ".gitmodules").write_text('[submodule "lib"]\n\tpath = lib\n\turl = x\n\tignore = all\n')
    repository.git("add", ".gitmodules")
    repository.commit({})

    evidence = size_of(repository.change())
    assert evidence.measurements[0].value == 5
    assert "what moves in 1 file (lib) is not counted" in told(evidence)


def test_main_that_went_on_is_no_part_of_the_change(repository: Repository) -> None:
    repository.branch()
    repository.commit({"b.txt": text(3)})
    repository.git("checkout", "-q", "main")
    repository.commit({"a.txt": text(900)})
    repository.git("checkout", "-q", "feature/search")

    assert size_of(repository.change()).measurements[0].value == 3


def test_what_is_not_committed_is_told(repository: Repository) -> None:
    repository.branch()
    repository.commit({"b": "b\n"})
    (repository.path / "a.txt").write_text("changed")
    (repository.path / "new").write_text("new")

    evidence = size_of(repository.change())
    assert "what is not committed is not counted: 2 files" in told(evidence)
    assert state_of(evidence) is State.GO


# The age


@pytest.mark.parametrize(
    ("base", "commits", "state", "explained"),
    [
        (24, [1], State.GO, False),
        (24, [47.9], State.GO, False),
        (24, [48], State.NO_GO, True),
        (24, [60, 1], State.NO_GO, True),
        (24, [1, 60], State.NO_GO, True),
        (90, [1], State.GO, True),
        (24, [-0.05], State.GO, False),
        (24, [-1], State.INCONCLUSIVE, False),
        (24, [1, -1], State.INCONCLUSIVE, False),
        (24, [60, -1], State.INCONCLUSIVE, True),
    ],
)
def test_a_branch_is_as_old_as_its_oldest_commit(
    base: float, commits: list[float], state: State, explained: bool, repository: Repository
) -> None:
    repository.commit({"base": "b"}, hours=base)
    repository.branch()
    for hours in commits:
        repository.commit({}, hours=hours)
    evidence = age_of(repository.plain(*repository.git("rev-parse", "main", "HEAD").split()))

    assert state_of(evidence) is state
    assert bool(told(evidence)) is explained
    if explained:
        assert f"the oldest of {len(commits)} commits that main does not have; it left main at" in told(evidence)


def test_taking_main_in_makes_no_branch_younger_and_a_rebase_does(repository: Repository) -> None:
    repository.branch()
    repository.commit({"b": "b"}, hours=50)
    repository.git("checkout", "-q", "main")
    repository.commit({"c": "c"}, hours=2)
    repository.git("checkout", "-q", "feature/search")
    repository.git("merge", "-q", "--no-edit", "main", hours=1)
    assert state_of(age_of(repository.change())) is State.NO_GO

    repository.git("reset", "-q", "--hard", "HEAD^")
    repository.git("rebase", "-q", "main", hours=1)
    assert state_of(age_of(repository.change())) is State.GO


def test_a_branch_without_a_commit_is_no_evidence(repository: Repository) -> None:
    repository.branch()
    with pytest.raises(NoEvidence, match="nothing to judge: every commit here is in main"):
        age_of(repository.change())


# The name


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("feature/faster-search", True),
        ("docs/검색", True),
        ("hotfix/7", True),
        ("feature/-", False),
        ("feature", False),
        ("features/x", False),
        ("Feature/x", False),
        ("x/feature/y", False),
        ("wip", False),
    ],
)
def test_a_name_is_a_prefix_and_a_description(name: str, good: bool) -> None:
    own, request = PullRequest(), Request(Side(name, ""), Side("main", ""), None)
    evidence = name_of(Change(Path(), Base("", ""), "", "", own, own, request, {}, NOW))

    assert state_of(evidence) is (State.GO if good else State.NO_GO)
    assert good or f"the branch {name!r} is not one of feature/, bugfix/" in told(evidence)


def test_the_name_is_that_of_what_is_checked_out_and_no_tag_or_variable_changes_it(repository: Repository) -> None:
    repository.branch()
    repository.commit({"b": "b"})
    repository.git("tag", "feature/search")
    assert state_of(name_of(repository.change())) is State.GO

    repository.branch("wip")
    assert state_of(name_of(repository.change({"GITHUB_HEAD_REF": "feature/search"}))) is State.NO_GO


def test_on_a_detached_head_the_name_is_that_of_the_variable_or_nobodys(repository: Repository) -> None:
    repository.branch()
    repository.commit({"b": "b"})
    repository.git("checkout", "-q", "--detach")

    with pytest.raises(NoEvidence, match="set GITHUB_HEAD_REF"):
        name_of(repository.change())
    assert state_of(name_of(repository.change({"GITHUB_HEAD_REF": "bugfix/x"}))) is State.GO
    assert state_of(name_of(repository.change({"GITHUB_HEAD_REF": "x\x1b[2J"}))) is State.NO_GO
    assert told(name_of(repository.change({"GITHUB_HEAD_REF": "x\x1b[2J"}))).isprintable()


# The boxes

BODIES: dict[str, tuple[str, list[str]]] = {
    "ticked": (TICKED, ["", ""]),
    "ticked, and more": (f"Hello\n\n{TICKED}- [ ] later\n", ["", ""]),
    "other marks and line ends": ("* [x]  All   pass\r\n1. [x] `ruff` is *quiet*\r\n", ["", ""]),
    "as it came": (TEMPLATE, ["not ticked", "not ticked"]),
    "one is open": (TICKED.replace("[X]", "[ ]"), ["", "not ticked"]),
    "one is open, too": (f"{TICKED}- [ ] All pass\n", ["not ticked", ""]),
    "one is gone": ("- [x] All pass", ["", "missing"]),
    "another text": (TICKED.replace("All", "Some"), ["missing", ""]),
    "empty": ("", ["missing", "missing"]),
    "in a fence": (f"```\n{TICKED}```\n", ["missing", "missing"]),
    "in a fence that a shorter one does not end": (f"~~~~md\n~~~\n```\n{TICKED}~~~~\n", ["missing", "missing"]),
    "in a fence without an end": (f"```\n{TICKED}", ["missing", "missing"]),
    "behind a fence": (f"```\n- [ ] All pass\n```\n{TICKED}", ["", ""]),
    "no fence": (f"```inline`\n{TICKED}", ["", ""]),
    "in a comment": (f"<!--\n{TICKED}-->\n", ["missing", "missing"]),
    "in a comment without an end": (f"<!-- a\n{TICKED}", ["missing", "missing"]),
    "behind a comment": (f"<!-- a -->\n{TICKED}", ["", ""]),
    "in a block as written": (f"<PRE>\n{TICKED}</PRE>\n", ["missing", "missing"]),
    "indented as code": ("    - [x] All pass\n\t- [x] `ruff` is *quiet*\n", ["missing", "missing"]),
    "below an item": ("- all\n    - [x] All pass\n\n    - [x] `ruff` is *quiet*\n", ["", ""]),
    "indented behind a paragraph": ("- a\n\nb\n\n    - [x] All pass\n- [x] `ruff` is *quiet*", ["missing", ""]),
    "quoted": (f"> {TICKED}", ["missing", ""]),
    "in a fence of an item": ("- ```\n  - [x] All pass\n  ```\n- [x] `ruff` is *quiet*", ["missing", ""]),
    "in a comment of an item": (f"- <!--\n  {TICKED}-->", ["missing", "missing"]),
    "in a fence that no indented one ends": (f"```\n    ```\n{TICKED}```", ["missing", "missing"]),
    "in a fence that begins where a list ends": (f"- a\n  ```\n```\n{TICKED}", ["missing", "missing"]),
    "in a comment of another block": (f"<p><!--\n\n{TICKED}\n--></p>", ["missing", "missing"]),
    "as it is written": (f"<div>\n{TICKED}</div>", ["missing", "missing"]),
    "folded": (f"<details>\n<summary>a</summary>\n\n{TICKED}\n</details>", ["", ""]),
    "behind steps with code": (f"1. Run\n   ```sh\n   x\n   ```\n2. ok\n\n{TICKED}", ["", ""]),
    "no space": ("- [x]All pass\n-[x] `ruff` is *quiet*", ["missing", "missing"]),
    "another sign": ("- [v] All pass\n- [✓] `ruff` is *quiet*", ["missing", "missing"]),
    "huge": ("x" * 3_000_000 + "\n" + "- [x] y\n" * 20_000 + "`" * 200_000 + "\n\n" + TICKED, ["missing", "missing"]),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_box_counts_where_a_reader_sees_it_ticked(case: str) -> None:
    body, faults = BODIES[case]
    assert [one.fault for one in asked_of(TEMPLATE, body)] == faults


def test_a_box_that_stands_twice_has_to_be_ticked_twice() -> None:
    template, once = "- [ ] a\n- [ ] a\n", "- [x] a\n"
    assert [one.fault for one in asked_of(template, once)] == ["missing", "missing"]
    assert [one.fault for one in asked_of(template, once * 2)] == ["", ""]


_PIECES = [
    "", "- [x] a", "- [x] b", "- a", "1. [x] c", "2. [x] d", "x", "# h", "---", "`x`", "- - [x] e", "> q",
    "```", "~~~", "````", "- ```", "1. ```", "2. ```", "> ```", "- > ```", "\u00a0```",
    "<!--", "-->", "- <!--", "x <!-- y", "a --> <!--", "<!-- a -->", "<p>", "<p><!--", "<pre>", "</pre>", "<?", "?>", "- <b>",
]  # fmt: skip
_INDENTS = ["", "", " ", "  ", "   ", "    ", "     ", "      ", "\t"]


@settings(max_examples=200)
@given(st.lists(st.builds(str.__add__, st.sampled_from(_INDENTS), st.sampled_from(_PIECES)), max_size=9))
def test_no_box_is_seen_where_a_reader_of_markdown_sees_none(lines: list[str]) -> None:
    markdown, seen = MarkdownIt(), [box.text for _, box in boxes("\n".join(lines))]
    places = {token.map[0] + 1 for token in markdown.parse("\n".join(lines)) if token.type == "inline" and token.map}
    shown = re.sub(r"<!--.*?(-->|$)", "", markdown.render("\n".join(lines)), flags=re.DOTALL)

    assert {number for number, _ in boxes("\n".join(lines))} <= places
    assert all(seen.count(text) <= shown.count(f"[x] {text}") for text in set(seen))
