"""`artisan release`: what may be tagged, what the tag says, and that nothing is ever left half-done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from release_house import Shop, git, make_place, open_shop

from pytest_artisan.verdict.decide import Purpose, Verdict

MODEL = "model-20261124-"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Verdict]:
    folder = tmp_path_factory.mktemp("place")
    return folder, make_place(folder)


@pytest.fixture
def shop(
    place: tuple[Path, Verdict],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    made = open_shop(place[0], tmp_path, place[1], capsys)
    monkeypatch.chdir(made.path)
    return made


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
    ({"commit": ""}, "the verdict is of commit unknown, and HEAD is "),
    ({"commit": "0" * 40}, f"the verdict is of commit {'0' * 40}"),
    ({"policy": "hotfix"}, "the verdict is by the policy hotfix, not by the policy main"),
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


def test_a_verdict_of_a_changed_tree_is_of_no_commit(shop: Shop) -> None:
    shop.judge(commit=f"{shop.verdict.commit}+changed")
    assert "+changed, and HEAD is" in shop.tag("v1.0.0")[2]


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
        (["v1.0.0", "--override", "a\nb"], 2, "artisan: Override: holds the character '\\n'"),
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


def exclude(shop: Shop, patterns: str) -> None:
    (shop.path / ".git" / "info").mkdir(exist_ok=True)
    (shop.path / ".git" / "info" / "exclude").write_text(f"{patterns}\n", encoding="utf-8")


def test_a_release_has_a_model_or_says_why_not(shop: Shop) -> None:
    exclude(shop, "/model/")
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


# -- a push that fails leaves nothing behind


def hook(shop: Shop, name: str, script: str) -> None:
    path = shop.remote / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_remote_that_refuses_leaves_nothing_behind(shop: Shop) -> None:
    hook(shop, "pre-receive", "echo the shop is closed; exit 1")
    status, out, err = shop.tag("v1.0.0", "--push")
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert "the shop is closed" in line
    assert shop.tags() == shop.tags(shop.remote) == {}
    hook(shop, "pre-receive", "exit 0")
    assert shop.tag("v1.0.0", "--push")[0] == 0


def test_a_tag_that_the_remote_alone_has_is_not_made_again(shop: Shop) -> None:
    shop.tag("v1.0.0", "--push")
    git(shop.path, "tag", "-d", "v1.0.0")
    for override in ((), ("--override", "why not")):
        status, _, err = shop.tag("v1.0.0", "--push", *override)
        assert (status, err) == (1, "refused: v1.0.0 exists already at origin (git fetch origin tag v1.0.0)\n")
    git(shop.path, "fetch", "-q", "origin", "tag", "v1.0.0")
    assert shop.artisan("verify", "v1.0.0", "--checkpoint-dir", "model")[0] == 0


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    given = ["release", "tag", "v1.0.0", "--notes", "n", "--no-model", "w", "--override", "race", *arguments]
    command = [sys.executable, "-m", "pytest_artisan", *given]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture
def clean(shop: Shop) -> Shop:
    """The same without untracked files."""
    exclude(shop, "/model/\n/verdict.json")
    return shop


@pytest.mark.parametrize("where", ["in one repository", "in two, at one remote"])
def test_of_two_at_once_exactly_one_wins(clean: Shop, where: str) -> None:
    other = clean.path
    if where != "in one repository":
        other = clean.path.parent / "other"
        git(clean.path.parent, "clone", "-q", str(clean.path), "other")
        git(other, "remote", "set-url", "origin", str(clean.remote))
        git(other, "config", "user.name", "Lee")
    both = [start(folder, "--push") for folder in (clean.path, other)]
    said = [(process.wait(60), *process.communicate()) for process in both]
    assert sorted(status == 0 for status, _, _ in said) == [False, True], said
    [err] = [err for status, _, err in said if status != 0]
    assert len(err.splitlines()) in (1, 2), err
    winner = clean.path if said[0][0] == 0 else other
    assert clean.tags(clean.remote) == clean.tags(winner) != {}
    assert where == "in one repository" or clean.tags(clean.path if winner == other else other) == {}


def _waiting_push(shop: Shop, answer: str) -> tuple[subprocess.Popen[str], Path]:
    """A release whose remote waits for a line in a pipe, and then exits with `answer`."""
    pipe = shop.path.parent / "pipe"
    os.mkfifo(pipe)
    hook(shop, "pre-receive", f"echo arrived > {pipe}; read go < {pipe}; exit {answer}")
    hook(shop, "post-receive", f"echo done > {pipe}")
    process = start(shop.path, "--push")
    assert pipe.read_text() == "arrived\n"
    return process, pipe


def test_ctrl_c_during_a_push_leaves_nothing(clean: Shop) -> None:
    process, _ = _waiting_push(clean, "1")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (130, "artisan: interrupted\n")
    assert clean.tags() == clean.tags(clean.remote) == {}
    hook(clean, "pre-receive", "exit 0")
    hook(clean, "post-receive", "exit 0")
    assert clean.tag("v1.0.0", "--push")[0] == 0


def test_a_release_that_is_killed_in_mid_push_is_whole_at_the_remote(clean: Shop) -> None:
    process, pipe = _waiting_push(clean, "0")
    process.kill()
    process.communicate()
    pipe.write_text("go\n")
    assert pipe.read_text() == "done\n"
    assert clean.tags() == {}
    assert "(git fetch origin tag v1.0.0)" in clean.tag("v1.0.0", "--push")[2]
    git(clean.path, "fetch", "-q", "origin", "tag", "v1.0.0")
    assert clean.artisan("verify", "v1.0.0")[0] == 0
