"""What a tag's message says, what is believed of it, and the order of releases."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from release_house import git, repository

from pytest_artisan import tools
from pytest_artisan.release import tags
from pytest_artisan.release.tags import Release, message, model_id, releases, write
from pytest_artisan.release.versions import hotfix_version, is_hotfix, newest_first, semantic
from pytest_artisan.settings import SettingsError

AT = datetime(2026, 11, 24, 10, 15, 30, tzinfo=UTC)
MANIFEST = f"# 1 ./a b\n{'a' * 64}  ./a b\n"
DIGEST = hashlib.sha256(MANIFEST.encode()).hexdigest()
SOUND = Release(
    "v1.2.3", "0" * 40, AT, "Kim <k@example.test>", "notes", model_id(DIGEST, AT), DIGEST, 1, MANIFEST, "", "b" * 64, "c" * 64
)  # fmt: skip
WITHOUT = replace(SOUND, model="", model_digest="", model_files=0, manifest="", no_model="docs")

lines = st.text(min_size=1, max_size=20)
notes = st.lists(st.text(max_size=9) | st.sampled_from(["---", "", "A: b", "# 1 ./x", MANIFEST]), max_size=5).map(
    "\n".join
)


@given(st.sampled_from([SOUND, WITHOUT]), notes, lines, lines)
@settings(max_examples=150, deadline=None)
def test_a_message_is_refused_or_read_back_as_it_was(release: Release, text: str, by: str, why: str) -> None:
    given_ = replace(release, notes=text, by=by, override=why)
    try:
        written = message(given_)
    except SettingsError:
        return
    assert tags._read(written) == given_


def _tag(root: Path, texts: dict[str, str], tagger: str = "Kim <k@example.test> 1795515330 +0000") -> None:
    commit, made = git(root, "rev-parse", "HEAD"), ""
    for name, text in texts.items():
        head = f"object {commit}\ntype commit\ntag {name}\ntagger {tagger}\n\n"
        oid = git(root, "mktag", stdin=head + text.replace("0" * 40, commit).replace("v1.2.3", name))
        made += f"create refs/tags/{name} {oid}\n"
    git(root, "update-ref", "--stdin", stdin=made)


TEXT = message(SOUND)
FAULTS: list[tuple[str, str]] = [
    ("its message ends with no record", "by hand\n"),
    ("its message ends with no record", TEXT + "\nmore\n"),
    ("the notes: empty, or", TEXT.replace("notes", "notes ")),
    ("the notes: a line begins with Override:", TEXT.replace("notes", "notes\n\nOverride: x")),
    ("damaged", TEXT.replace("./a b", "./a c")),
    ("damaged", TEXT.replace("# 1", "# 2")),
    ("damaged", TEXT.replace("Model-Files: 1", "Model-Files: 2")),
    ("damaged", TEXT.replace("Model-Files: 1", "Model-Files: 1000000000000")),
    ("damaged", TEXT.replace("Model-Files: 1", "Model-Files: ²")),
    ("damaged", TEXT.replace("model-20261124", "model-20261123")),
    ("damaged", TEXT.replace(f"Digest: sha256:{DIGEST}", f"Digest: sha256:{'d' * 64}")),
    ("damaged", TEXT.replace("sha256:b", "b")),
    ("damaged", TEXT + "Override: \n"),
    ("damaged", TEXT + "Released-By: Kim <k@example.test>\n"),
    ("damaged", TEXT + "Reviewed-By: Kim\n"),
    ("damaged", TEXT[:-1]),
    ("damaged", TEXT.replace("\n\nArt", "\n\n\nArt")),
    ("no time of the form", TEXT.replace("10:15:30Z", "25:15:30Z")),
    ("says time 2026-11-24 10:15:31", TEXT.replace("10:15:30Z", "10:15:31Z")),
    ("says tagger Lee <k@example.test>", TEXT.replace("By: Kim", "By: Lee")),
    ("says version v1.2.4", TEXT.replace("v1.2.3", "v1.2.4")),
    ("says commit 1111", TEXT.replace("0" * 40, "1" * 40)),
]  # fmt: skip


def test_a_record_that_is_not_so_is_told(tmp_path: Path) -> None:
    root = tmp_path / "r"
    commit = repository(root)
    _tag(root, {"v1.2.3": TEXT} | {f"v9.9.{number}": text for number, (_, text) in enumerate(FAULTS)})
    found = {release.version: release for release in releases(root)}
    assert found.pop("v1.2.3") == replace(SOUND, commit=commit)
    for number, (said, text) in enumerate(FAULTS):
        release = found.pop(f"v9.9.{number}")
        assert said in release.fault, text
        assert (release.commit, release.at, release.notes) == (commit, AT, "")
    assert not found


def _lightweight(root: Path) -> None:
    git(root, "tag", "v1.2.3")


def _renamed(root: Path) -> None:
    _tag(root, {"v1.2.4": TEXT})
    git(root, "update-ref", "refs/tags/v1.2.3", "v1.2.4")
    git(root, "tag", "-d", "v1.2.4")


def _of_a_tree(root: Path) -> None:
    git(root, "tag", "-a", "-m", "x", "v1.2.3", "HEAD^{tree}")


def _of_a_tag(root: Path) -> None:
    git(root, "tag", "-a", "-m", "x", "inner")
    git(root, "tag", "-a", "-m", "x", "v1.2.3", "inner")


@pytest.mark.parametrize(("by", "tagger"), [("Kim", "Kim <> 1"), ("<k@x>", " <k@x> 1"), ("Kim <k@x>", "Kim <k@x> 1")])
def test_a_name_or_an_address_alone_is_enough(tmp_path: Path, by: str, tagger: str) -> None:
    root = tmp_path / "r"
    commit = repository(root)
    oid = write(root, replace(SOUND, commit=commit, by=by))
    assert f"\ntagger {tagger}" in git(root, "cat-file", "-p", oid)
    git(root, "update-ref", "refs/tags/v1.2.3", oid)
    assert [release.fault for release in releases(root)] == [""]


def _of_the_end_of_time(root: Path) -> None:
    _tag(root, {"v1.2.3": "x\n"}, "Kim <k@example.test> 99999999999999 +0000")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_lightweight, "not annotated"),
        (_renamed, "its record says version v1.2.4, and the tag says v1.2.3"),
        (_of_a_tree, "its message ends with no record"),
        (_of_a_tag, "its message ends with no record"),
        (_of_the_end_of_time, "its message ends with no record"),
    ],
)
def test_other_peoples_tags_are_told_and_never_left_out(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    root = tmp_path / "r"
    commit = repository(root)
    make(root)
    [release] = releases(root)
    assert said in release.fault
    # Old versions of git tell of a tag's tag only that it is one.
    assert release.commit in ({""} if make is _of_a_tree else {"", commit} if make is _of_a_tag else {commit})


def test_names_that_are_no_version_come_last_and_others_do_not_count(tmp_path: Path) -> None:
    root = tmp_path / "r"
    repository(root)
    for name in (
        "v1",
        "v0.1.0",
        "hotfix-2026",
        "hotfix-20261301-0000",
        "vintage",
        "release-candidate-20261124",
        "x/v1.0.0",
    ):
        git(root, "tag", name)
    first, *others = [release.version for release in releases(root)]
    assert first == "v0.1.0"
    assert set(others) == {"v1", "hotfix-2026", "hotfix-20261301-0000"}


def test_a_hundred_releases_are_one_question_to_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "r"
    commit = repository(root)
    oid = write(root, replace(SOUND, commit=commit))
    git(root, "update-ref", "--stdin", stdin="".join(f"create refs/tags/v1.2.{n} {oid}\n" for n in range(100)))
    asked = []
    run = tools.run

    def counted(*given: Any, **options: Any) -> tools.Answer:
        asked.append(given)
        return run(*given, **options)

    monkeypatch.setattr(tools, "run", counted)
    found = releases(root)
    assert (len(found), len(asked)) == (100, 1)
    assert [release.version for release in found if not release.fault] == ["v1.2.3"]


# Of the specification of SemVer 2.0.0, section 11, and others; the lowest first.
PRECEDENCE = (
    "v0.0.1", "v0.9.0", "v1.0.0-0", "v1.0.0-1", "v1.0.0-alpha", "v1.0.0-alpha.1", "v1.0.0-alpha.beta", "v1.0.0-beta",
    "v1.0.0-beta.2", "v1.0.0-beta.11", "v1.0.0-rc.1", "v1.0.0", "v1.0.1", "v1.2.0", "v1.10.0", "v2.0.0", "v10.0.0",
)  # fmt: skip


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_is_that_of_the_specification(rng: random.Random) -> None:
    shuffled = [Release(version, "", AT + timedelta(rng.randrange(9))) for version in PRECEDENCE]
    rng.shuffle(shuffled)
    assert [release.version for release in newest_first(shuffled)] == list(reversed(PRECEDENCE))


def test_a_hotfix_stands_by_its_time() -> None:
    made = ["v1.0.0", "hotfix-20261125-0001", "v1.1.0", "v1.0.1", "hotfix-20261128-0001", "v2.0.0-rc.1"]
    found = newest_first(Release(version, "", AT + timedelta(days)) for days, version in enumerate(made))
    assert [release.version for release in found] == [
        "v2.0.0-rc.1", "hotfix-20261128-0001", "v1.1.0", "v1.0.1", "hotfix-20261125-0001", "v1.0.0"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("hotfix-20261124-1930", True),
        ("hotfix-20261124-2460", False),
        ("hotfix-20261131-0000", False),
        ("hotfix-2026112-40000", False),
        ("hotfix-٢0261124-1930", False),
        ("hotfix-20261124-1930\n", False),
        ("v1.0.0", False),
    ],
)
def test_a_hotfix_is_named_by_a_minute_that_exists(text: str, valid: bool) -> None:
    assert is_hotfix(text) is valid
    assert is_hotfix(hotfix_version(AT))
    assert semantic(hotfix_version(AT)) is None
