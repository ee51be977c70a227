"""`artisan release`: what may be tagged, what the tag says, and that nothing is ever left half-done."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import release_house
from release_house import Shop, git

from pytest_artisan.verdict.decide import Purpose

# The fixtures of both modules.
place, shop = release_house.place, release_house.shop
MODEL = "model-20261124-"


def test_a_release_is_a_tag_that_holds_all_of_its_record(shop: Shop) -> None:
    status, out, err = shop.tag("v2.1.0", "--push")
    assert (status, err) == (0, "")
    assert f"commit = {shop.verdict.commit}\n" in out
    assert "by = Kim 김 <kim@example.test>\n" in out
    assert "tag = v2.1.0, pushed to origin\n" in out
    assert shop.tags() == shop.tags(shop.remote)
    assert git(shop.path, "cat-file", "-t", "v2.1.0") == "tag"
    # The trailers as git itself reads them.
    trailers = git(shop.path, "interpret-trailers", "--parse", stdin=git(shop.path, "cat-file", "-p", "v2.1.0"))
    assert re.fullmatch(
        r"Artisan-Release: v2\.1\.0\n"
        rf"Release-Commit: {shop.verdict.commit}\n"
        rf"Model-Snapshot: {MODEL}([0-9a-f]{{8}})\n"
        r"Model-Digest: sha256:\1[0-9a-f]{56}\n"
        r"Model-Files: 2\n"
        r"Verdict-Digest: sha256:[0-9a-f]{64}\n"
        rf"Policy-Digest: sha256:{shop.verdict.policy_digest}\n"
        r"Released-At: 2026-11-24T10:15:30Z\n"
        r"Released-By: Kim 김 <kim@example.test>",
        trailers,
    ), trailers
    sums = subprocess.run(["sha256sum", "verdict.json"], capture_output=True, text=True, check=True)  # noqa: S607
    assert sums.stdout.split()[0] in trailers
    assert git(shop.path, "fsck", "--strict") == ""


def test_the_tags_of_a_clone_are_the_whole_history(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.tag("v2.0.3", "--push")
    shop.tag("v2.1.0", "--push", "--notes", "x")
    listed, shown = shop.artisan("list"), shop.artisan("show", "v2.0.3")
    git(shop.path.parent, "clone", "-q", str(shop.remote), "clone")
    monkeypatch.chdir(shop.path.parent / "clone")
    assert (listed, shown) == (shop.artisan("list"), shop.artisan("show", "v2.0.3"))
    assert [line.split()[0] for line in listed[1].splitlines()] == ["v2.1.0", "v2.0.3"]
    assert f"  {MODEL}" in listed[1]
    assert "2026-11-24T10:15:30Z" in listed[1]
    assert "  한국어 🎉\n" in shown[1]
    assert "  # 6 ./sub/토큰.txt\n" in shown[1]


def test_the_same_order_at_the_same_time_is_the_same_object(shop: Shop) -> None:
    shop.tag("v1.0.0")
    first = shop.tags()
    git(shop.path, "tag", "-d", "v1.0.0")
    shop.tag("v1.0.0")
    assert shop.tags() == first


VERDICTS: list[tuple[dict[str, Any], str]] = [
    ({"go": False}, "the verdict is NO-GO"),
    ({"partial": ("smoke",)}, "the verdict is GO (partial: smoke)"),
    ({"no_evidence": ("security",)}, "the verdict is GO (local; no evidence: security)"),
    ({"purpose": Purpose.LOCAL}, "the verdict is for a local run"),
    ({"purpose": Purpose.MERGE}, "the verdict is for a merge run"),
    ({"commit": "0" * 40}, f"the verdict is of commit {'0' * 40}"),
    ({"policy": "hotfix"}, "the verdict is by the policy hotfix, not by the policy main"),
    ({"gates": ()}, "the verdict proves nothing: it contradicts itself"),
    ({"policy_digest": "f" * 64}, "the verdict is by a policy of digest sha256:ffffffffffff, and that of dev is"),
]


@pytest.mark.parametrize(("changes", "said"), VERDICTS, ids=[said for _, said in VERDICTS])
def test_no_release_without_a_go_for_this_commit(shop: Shop, changes: dict[str, Any], said: str) -> None:
    shop.judge(**changes)
    status, out, err = shop.tag("v1.0.0")
    assert (status, out) == (1, "")
    [line] = err.splitlines()
    assert line.startswith(f"refused: {said}")
    assert shop.tags() == {}
    # On the record, it can be done; and the record says so.
    status, out, _ = shop.tag("v1.0.0", "--override", "the shop is on fire")
    assert status == 0
    assert f"overridden: {said}" in out
    assert "override: the shop is on fire" in shop.artisan("list")[1]


def test_a_variable_that_the_session_did_not_have_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTISAN_BASE_URL", "http://elsewhere.test")
    status, _, err = shop.tag("v1.0.0")
    assert (status, err.count("\n")) == (1, 1)
    assert "here; pyproject.toml or a variable ARTISAN_... is not as it was in that session" in err


def test_a_verdict_of_a_changed_tree_is_of_no_commit(shop: Shop) -> None:
    shop.judge(commit="")
    said = shop.tag("v1.0.0")[2]
    assert "it is about no commit\nrefused: the verdict is of commit unknown, and HEAD is " in said
    shop.judge(commit=f"{shop.verdict.commit}+changed")
    said = shop.tag("v1.0.0")[2]
    assert "it is about files that are not committed\n" in said
    assert "+changed, and HEAD is" in said
    assert shop.tag("v1.0.0", "--override", "a\nb")[2].startswith("artisan: Override: holds the character '\\n'")
    assert shop.tags() == {}


def test_an_override_that_nothing_needs_is_on_no_record(shop: Shop) -> None:
    assert shop.tag("v1.0.0", "--override", "always given")[0] == 0
    assert "override" not in shop.artisan("show", "v1.0.0")[1]


def _overlook(shop: Shop) -> None:
    shop.judge(commit=shop.commit("t.txt", "one"))
    git(shop.path, "update-index", "--assume-unchanged", "t.txt")


def _stage(shop: Shop) -> None:
    (shop.path / "s").touch()
    git(shop.path, "add", "s")


def _put_beside_the_model(shop: Shop) -> None:
    (shop.path / "models").mkdir()
    (shop.path / "models" / "x").touch()


def _edit(shop: Shop) -> None:
    with (shop.path / "pyproject.toml").open("a") as file:
        file.write("# hm")


DIRT: list[tuple[Callable[[Shop], None], str]] = [
    (lambda shop: (shop.path / "n\x1b[1mü").touch(), "untracked n [1mü;"),
    (_edit, "changed pyproject.toml;"),
    (_stage, "changed s;"),
    (lambda shop: (shop.path / ".gitignore").unlink(), "changed .gitignore;"),
    (_overlook, "changed t.txt;"),
    (_put_beside_the_model, "untracked models/x;"),
]


@pytest.mark.parametrize(("spoil", "said"), DIRT, ids=[said for _, said in DIRT])
def test_a_dirty_tree_is_never_released(shop: Shop, spoil: Callable[[Shop], None], said: str) -> None:
    spoil(shop)
    for override in ((), ("--override", "why not")):
        status, out, err = shop.tag("v1.0.0", *override)
        assert (status, out) == (1, "")
        [line] = err.splitlines()
        assert line.startswith("refused: the files here are not just those of the commit: ")
        assert said in line
    assert shop.tags() == {}


def test_what_is_ignored_or_on_record_itself_is_no_dirt(shop: Shop) -> None:
    (shop.path / "ignored").mkdir()
    (shop.path / "ignored" / "x").touch()
    assert shop.tag("v1.0.0")[0] == 0


def test_all_that_speaks_against_a_release_is_told_at_once(shop: Shop) -> None:
    assert shop.tag("v1.0.0", "--push")[0] == 0
    (shop.path / "dirt").touch()
    (shop.path / "model" / "link").symlink_to("w.bin")
    shop.judge(go=False)
    status, _, err = shop.tag("v1.0.0", "--push")
    assert status == 1
    assert [re.sub(r"/\S*/", "", line) for line in err.splitlines()] == [
        "refused: v1.0.0 exists already; no release is made twice",
        "refused: v1.0.0 exists already at origin (git fetch origin tag v1.0.0)",
        "refused: the files here are not just those of the commit: untracked dirt; commit or ignore them",
        "refused: model/link: is a link; a snapshot holds files alone",
        "refused: the verdict is NO-GO",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["v1.0"], 2, "artisan: 'v1.0' is no semantic version behind a v"),
        (["1.0.0"], 2, "is no semantic version"),
        (["v1.0.0\n"], 2, "is no semantic version"),
        (["v01.0.0"], 2, "is no semantic version"),
        (["v1.0.0-a.lock"], 2, "is no semantic version"),
        (["v1٣.0.0"], 2, "is no semantic version"),
        (["v1.0.0+" + "1" * 200], 2, "is no semantic version"),
        (["hotfix-20261124-1000"], 2, "is no semantic version"),
        (["v1.0.0", "--notes", " "], 2, "artisan: the notes: empty, or begins"),
        (["v1.0.0", "--notes", "x\x1b[2J"], 2, "artisan: the notes: holds the character '\\x1b'"),
        (["v1.0.0", "--notes", "x\n verdict-digest : sha256:0"], 2, "a line begins with verdict-digest:"),
        (["v1.0.0", "--verdict", "none.json"], 2, "artisan: none.json: No such file or directory"),
        (["v1.0.0", "--verdict", "pyproject.toml"], 2, "artisan: pyproject.toml: no JSON report: "),
        (["v1.0.0", "--push=nowhere"], 1, "refused: git ls-remote failed: fatal: 'nowhere'"),
        (["v1.0.0", "--push=https://me:secret@127.0.0.1:1/x"], 1, "refused: git ls-remote failed: fatal: "),
        (["v1.0.0", "--push=--upload-pack=touch x"], 1, "refused: git ls-remote failed: "),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_makes_nothing(shop: Shop, arguments: list[str], status: int, said: str) -> None:
    found, out, err = shop.tag(*arguments)
    assert (found, out) == (status, "")
    [line] = err.splitlines()
    assert said in line
    assert "secret" not in line
    assert shop.tags() == shop.tags(shop.remote) == {}


def test_a_release_has_a_model_or_says_why_not(shop: Shop) -> None:
    shop.exclude("/model/")
    assert shop.tag("v1.0.0", model=False)[::2] == (
        1,
        "refused: it needs either a folder of checkpoints or the reason why it has no model\n",
    )
    assert shop.tag("v1.0.0", "--no-model", "nur Doku", model=False)[0] == 0
    assert "model = none (nur Doku)\n" in shop.artisan("show", "v1.0.0")[1]
    assert shop.artisan("verify", "v1.0.0")[:2] == (0, "GO\n")
    assert shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model") == (
        1,
        "NO-GO\n",
        "v1.0.0 has no model: nur Doku\n",
    )


def test_an_older_line_may_be_released_and_is_told(shop: Shop) -> None:
    shop.tag("v2.0.0")
    for version in ("v1.9.9", "v2.0.0-rc.1", "v2.0.0+build"):
        status, out, _ = shop.tag(version)
        assert status == 0
        assert out.startswith(f"{version} does not come after v2.0.0")
    assert not shop.tag("v2.0.1")[1].startswith("v2.0.1 does not")


def test_notes_of_any_shape_come_back_as_they_were(shop: Shop) -> None:
    notes = "eins\n---\n\nFix: yes\n-----BEGIN PGP SIGNATURE-----\n\n# 7 ./w.bin\n\nSigned-off-by: <b>`x`</b>"
    assert shop.tag("v1.0.0", "--notes", notes)[0] == 0
    shown = shop.artisan("show", "v1.0.0")[1]
    assert "\n".join(f"  {line}" for line in notes.split("\n")) in shown
    assert shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model")[0] == 0


def test_of_a_model_of_many_files_the_digest_is_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_artisan.release.tagging.MANIFEST_FILES", 1)
    monkeypatch.setattr("pytest_artisan.release.tags.MANIFEST_FILES", 1)
    shop.tag("v1.0.0")
    assert "files:" not in shop.artisan("show", "v1.0.0")[1]
    assert shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model")[0] == 0
    (shop.path / "model" / "w.bin").write_bytes(b"other")
    status, _, err = shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model")
    assert status == 1
    assert "of 2 files is not the model of v1.0.0" in err


def test_a_model_that_is_another_is_told_file_by_file(shop: Shop) -> None:
    shop.tag("v1.0.0")
    told = "GO (the record alone; --checkpoint-dir compares the model)\n"
    assert shop.artisan("verify", "v1.0.0") == (0, told, "")
    assert shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model") == (0, "GO\n", "")
    model = shop.path / "model"
    (model / "w.bin").write_bytes(b"WEIGHTS")
    (model / "new").touch()
    (model / "sub" / "토큰.txt").rename(model / "sub" / "moved")
    status, out, err = shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model")
    assert (status, out) == (1, "NO-GO\n")
    assert set(err.splitlines()) == {
        "sub/토큰.txt: missing",
        "w.bin: changed",
        "new: extra, the release does not have it",
        "sub/moved: extra, the release does not have it",
    }
    (model / "link").symlink_to("w.bin")
    assert "link: is a link" in shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model")[2]
