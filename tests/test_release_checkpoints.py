"""The digest of a folder of checkpoints: reproducible without us, and of nothing that it does not hold."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_artisan.release import checkpoints
from pytest_artisan.release.checkpoints import Snapshot, differences, snapshot
from pytest_artisan.settings import SettingsError

PAGE = Path(__file__).parent.parent / "docs" / "release.md"


def model(folder: Path, **files: bytes) -> Path:
    for name, content in files.items():
        path = folder / "model" / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder / "model"


@pytest.mark.parametrize(
    "names",
    [
        ("w.bin",),
        ("a/b", "a-b", "a.b", "ab", "a0/b", "A"),
        ("-", "--help", "-rf", ".hidden/.x", "two  blanks", " lead", "# 1 .", "~", "$(id)", "'\"`"),
        ("한국어/모델.bin", "é", "e\u0301", "🎉", "z" * 200),
    ],
    ids=["one", "order", "odd", "unicode"],
)
def test_the_command_of_the_docs_makes_the_same_digest(tmp_path: Path, names: tuple[str, ...]) -> None:
    for number, name in enumerate(names):
        path = tmp_path / "checkpoints" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 1000 * number)
    [script] = re.findall(r"```bash\n# digest.sh\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    told = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)  # noqa: S607
    found = snapshot(tmp_path / "checkpoints")
    assert told.stdout == f"{found.digest}  -\n"
    assert found.files.keys() == set(names)
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", "--quiet"],  # noqa: S607
        input=found.manifest,
        cwd=tmp_path / "checkpoints",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def _fifo(folder: Path) -> None:
    os.mkfifo(folder / "pipe")


def _undecodable(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "l").symlink_to("w.bin"), "l: is a link"),
        (lambda folder: (folder / "d").symlink_to(folder.parent, target_is_directory=True), "d: is a link"),
        (lambda folder: (folder / "loop").symlink_to("loop"), "loop: is a link"),
        (_fifo, "pipe: is neither file nor folder"),
        (lambda folder: (folder / "sub").mkdir(), "sub: an empty folder"),
        (lambda folder: (folder / "a\nb").write_bytes(b""), "'a\\nb' can not stand in a line"),
        (lambda folder: (folder / "a\\b").write_bytes(b""), "'a\\\\b' can not stand in a line"),
        (lambda folder: (folder / "a\u2028b").write_bytes(b""), "can not stand in a line"),
        (_undecodable, "'\\udcff' can not stand in a line"),
        (lambda folder: (folder / "w.bin").unlink(), "holds no file"),
    ],
)
def test_what_no_manifest_can_hold_is_refused(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    folder = model(tmp_path, **{"w.bin": b"w"})
    spoil(folder)
    with pytest.raises(SettingsError, match=re.escape(said)):
        snapshot(folder)


@pytest.mark.parametrize(
    ("name", "said"), [("link", "is a link"), ("gone", "No such file"), ("file", "Not a directory")]
)
def test_the_folder_itself_has_to_be_one(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "link").symlink_to(model(tmp_path, w=b"w"))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SettingsError, match=said):
        snapshot(tmp_path / name)


W, V = hashlib.sha256(b"w").hexdigest(), hashlib.sha256(b"v").hexdigest()


@pytest.mark.parametrize(
    ("listing", "said"),
    [
        (f"{W}  w\n{V} *./sub/v\n", ""),
        (f"{W}  w\n", "sub/v: not listed by its SHA256SUMS"),
        (f"{W}  w\n{V}  sub/v\n{V}  gone\n", "gone: listed, but missing by its SHA256SUMS"),
        (f"{V}  w\n{V}  sub/v\n", "w: changed by its SHA256SUMS"),
        (f"{W}  w\n{W}  w\n{V}  sub/v\n", "SHA256SUMS:2: no line of sha256sum, or of a file listed before"),
        (f"{W}  w\n{V}  sub/v\nhello\n", "SHA256SUMS:3: no line of sha256sum"),
        ("", "not listed"),
        ("\xff", "is no UTF-8"),
    ],
)
def test_a_list_in_the_folder_is_all_that_the_folder_holds(tmp_path: Path, listing: str, said: str) -> None:
    folder = model(tmp_path, w=b"w", sub__v=b"v", SHA256SUMS=listing.encode("latin-1"))
    if not said:
        assert len(snapshot(folder).files) == 3
        return
    with pytest.raises(SettingsError, match=re.escape(said)):
        snapshot(folder)


@pytest.mark.parametrize("kind", ["rewritten", "new", "gone", "swapped for a link"])
def test_what_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    folder = model(tmp_path, a=b"a", b=b"b")
    honest = checkpoints._sha256

    def meddled(path: Path) -> str:
        told = honest(path)
        if path.name == "a" and kind == "rewritten":
            path.write_bytes(b"A")
            os.utime(path, ns=(1, 1))
        elif path.name == "a" and kind == "new":
            (folder / "c").write_bytes(b"c")
        elif path.name == "a" and kind == "gone":
            path.unlink()
        elif path.name == "a":
            path.unlink()
            path.symlink_to("b")
        return told

    monkeypatch.setattr(checkpoints, "_sha256", meddled)
    with pytest.raises(SettingsError, match=r"changed while it was read|is a link"):
        snapshot(folder)


def test_a_file_that_becomes_a_link_before_it_is_read_is_not_followed(tmp_path: Path) -> None:
    folder = model(tmp_path, a=b"a")
    (folder / "l").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        checkpoints._sha256(folder / "l")


FILES = st.dictionaries(st.sampled_from("abcdef"), st.binary(max_size=3), min_size=1)


@given(FILES, FILES)
@settings(max_examples=15, deadline=None)
def test_every_difference_is_named_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, bytes], now: dict[str, bytes]
) -> None:
    shots = [snapshot(model(tmp_path_factory.mktemp("m"), **files)) for files in (before, now)]
    named = {line.split(":")[0] for line in differences(*shots)}
    assert named == {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    assert (shots[0].digest == shots[1].digest) == (before == now)


@pytest.mark.parametrize(
    "text", ["", "# 1 ./a\n", f"{W}  ./a\n", f"# 1 ./a\n{W}  ./b\n", f"# 1 ./a\n{W}  ./a", f"# 1 ./a\nx\n{W}  ./a\n"]
)
def test_a_manifest_that_is_none_is_told(text: str) -> None:
    if text == "":
        assert Snapshot(text).files == {}
        return
    with pytest.raises(SettingsError, match="damaged"):
        _ = Snapshot(text).files
