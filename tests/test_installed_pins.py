"""What pip would install by files of requirements, and what is installed, also where somebody broke it."""

from __future__ import annotations

import json
import site
import sys
from pathlib import Path

import pytest
from inventory_files import ADDRESS, CONTRADICT, UNPINNED, ZEROS, left, pins, read

from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inputs.installed import installed
from pytest_artisan.audit.inventory import NoAudit, Pin, Unaudited

# Requirements


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a.txt": "-r sub/b.txt", "sub/b.txt": "-r ../c.txt\nx==1", "c.txt": "y==2"}, [("y", "2", "c.txt:1"), ("x", "1", "sub/b.txt:2")]),
        ({"a.txt": "x\n-c c.txt", "c.txt": "X==1; python_version < '3'\nx==2; python_version > '3'"}, [("x", "2", "a.txt:1")]),
        ({"a.txt": "-r b.txt\nx[s]>=1", "b.txt": "x==1.5"}, [("x", "1.5", "b.txt:1"), ("x", "1.5", "a.txt:2")]),
        ({"a.txt": "x==1,==1.0\ny==1.5,>=1,<2\nz==1.0rc1"}, [("x", "1.0", "a.txt:1"), ("y", "1.5", "a.txt:2"), ("z", "1.0rc1", "a.txt:3")]),
        ({"a.txt": "x===1.0-odd"}, [("x", "1.0-odd", "a.txt:1")]),
        ({"a.txt": "x==1\n".encode("utf-16")}, [("x", "1", "a.txt:1")]),
        ({"a.txt": "# -*- coding: latin-1 -*- ü\nx==1".encode("latin-1")}, [("x", "1", "a.txt:2")]),
        ({"a.txt": "-r 0.txt", "40.txt": "x==1"} | {f"{n}.txt": f"-r {n + 1}.txt\n" * 2 for n in range(40)}, [("x", "1", "40.txt:1")]),
    ],
    ids=["folders", "constraints by markers", "another line", "several ranges", "any text", "UTF-16", "latin-1", "2**40 ways"],
)  # fmt: skip
def test_pins_are_what_pip_would_install(
    files: dict[str, str | bytes], expected: list[tuple[str, str, str]], tmp_path: Path
) -> None:
    found = read(tmp_path, files)

    assert pins(found) == expected
    assert found.unaudited == ()


def test_hashes_of_a_constraint_and_over_several_lines_count(tmp_path: Path) -> None:
    text = f"-c c.txt\nx==1 \\\n    --hash={ZEROS} \\\n    --hash=sha512:ab # why\n"
    found = read(tmp_path, {"a.txt": text, "c.txt": f"x==1 --hash=sha256:cd --hash={ZEROS}"})

    assert [pin.hashes for pin in found.pins] == [(ZEROS, "sha512:ab", "sha256:cd")]


@pytest.mark.parametrize(
    ("line", "constraints", "why"),
    [
        ("x==1.*", "", UNPINNED),
        ("x~=1.2", "x<2", UNPINNED),
        ("x", "x==1; python_version < '3'", UNPINNED),
        ("x==1,==2", "", CONTRADICT),
        ("x==1,!=1", "", CONTRADICT),
        ("x>=1", "x==1.1\nx==1.2", CONTRADICT),
        ("x>=2", "x==1", CONTRADICT),
        ("x==2", "x==1", CONTRADICT),
        ("x==1", "x @ https://u:hunter2@a.invalid/x.zip", ADDRESS),
        ("x @ https://${TOKEN}@a.invalid/x.zip", "", ADDRESS),
        ("-e ./x", "", ADDRESS),
        ("./x", "", ADDRESS),
        ("-e git+https://u:hunter2@a.invalid/r#egg=X", "", ADDRESS),
        ("https://u:hunter2@a.invalid/x-1.0-py3-none-any.whl", "", ADDRESS),
    ],
)
def test_what_names_no_one_version_of_the_index_is_not_audited(
    line: str, constraints: str, why: str, tmp_path: Path
) -> None:
    files = {"a.txt": f"-c c.txt\n{line}", "c.txt": constraints, "x/pyproject.toml": '[project]\nname = "X"'}
    found = read(tmp_path, files)

    assert left(found) == [("x", why, "a.txt:2")]
    assert found.pins == ()


@pytest.mark.parametrize(
    ("files", "cause"),
    [
        ({"a.txt": "-r s/b.txt", "s/b.txt": "-c ../a.txt"}, "a.txt: names itself"),
        ({"a.txt": "-r s/b.txt", "s/b.txt": "-r c.txt"}, "s/c.txt: does not exist"),
        ({"a.txt": "-r s", "s/b.txt": ""}, "s: is no file"),
        ({"a.txt": "x==1\n-r b.txt -r c.txt"}, "a.txt:2: names more than one file"),
        ({"a.txt": "-r https://u:hunter2@a.invalid"}, "a.txt:1: names a file by an address"),
        ({"a.txt": "-c ftp://u:hunter2@a.invalid"}, "a.txt:1: names a file by an address"),
        ({"a.txt": "-r 0.txt"} | {f"{n}.txt": f"-r {n + 1}.txt" for n in range(200)}, "is named by more than 100 files"),
        ({"a.txt": '-r "\x1b[31m.txt"'}, r"^ \[31m.txt: does not exist"),
        ({"a.txt": "x==1 --hash=sha256:zz"}, "a.txt:1: has a hash that is not such"),
        ({"a.txt": "x==1; python_version ~= 'abc'"}, "a.txt:1: has a marker that can not be evaluated"),
        ({"a.txt": "x==${VERSION}"}, "a.txt:1: is no requirement"),
        ({"a.txt": "x==1 -e ."}, "a.txt:1: is no requirement"),
        ({"a.txt": "--pre x==1"}, "a.txt:1: is no requirement"),
        ({"a.txt": "x===1\x1b[31m"}, "a.txt:1: has a version that is none"),
        ({"a.txt": "x===u:hunter2@a.invalid"}, "a.txt:1: has a version that is none"),
        ({"a.txt": "x==" + "9" * 5000}, "a.txt:1: names a version of more digits"),
        ({"a.txt": "# ü\nx==1".encode("latin-1")}, "a.txt: is not UTF-8, nor of an encoding that it names"),
        ({"a.txt": "# coding: nonsense\nx==1"}, "a.txt: is not UTF-8, nor of an encoding that it names"),
        ({"a.txt": "# coding: hex\nx==1"}, "a.txt: is not UTF-8, nor of an encoding that it names"),
        ({"a.txt": "x==1\n".encode("utf-16-le")}, "a.txt:1: is no requirement"),
    ],
    ids=[
        *("a circle", "missing", "a folder", "two files", "an address", "another", "deep", "control", "hash", "marker"),
        *("variable", "two in one", "after an option", "control in a version", "address as version", "digits", "latin-1", "no encoding", "no text", "UTF-16 unmarked"),
    ],
)  # fmt: skip
def test_requirements_that_pip_could_not_follow_are_no_audit(
    files: dict[str, str | bytes], cause: str, tmp_path: Path
) -> None:
    with pytest.raises(NoAudit, match=cause) as raised:
        read(tmp_path, files)

    assert "hunter2" not in str(raised.value)


# What is installed


def unpack(folder: Path, name: str, metadata: str | bytes, **files: str) -> None:
    home = folder / name
    home.mkdir(parents=True)
    file = "PKG-INFO" if name.endswith(".egg-info") else "METADATA"
    (home / file).write_bytes(metadata if isinstance(metadata, bytes) else metadata.encode())
    for stem, text in files.items():
        (home / f"{stem}.json").write_text(text)


def of(name: str, version: str, *needs: str) -> str:
    return "\n".join([f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {need}" for need in needs), ""])


def test_the_environment_is_all_that_an_import_may_find(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, root = tmp_path / "first", tmp_path / "second", tmp_path / "root"
    unpack(first, "X_y-1.0.dist-info", of("X_y", "v1.0", "z", "gone", "w; extra == 'a'", "no thing"))
    unpack(first, "z-1.dist-info", of("z", "1"))
    unpack(first, "z-2.dist-info", of("z", "2"))
    unpack(second, "x_y-3.dist-info", of("x-y", "3"))
    unpack(second, "odd-0.dist-info", of("odd", "0.1-NA"))
    unpack(second, "w-1.dist-info", of("w", "1"), direct_url=json.dumps({"url": "https://u:hunter2@a.invalid/w.zip"}))
    unpack(second, "v-1.dist-info", of("v", "1"), direct_url="[" * 100_000)
    unpack(second, "own-2.dist-info", of("own", "2", "z"), direct_url=json.dumps({"url": root.as_uri()}))
    unpack(second, "broken-1.dist-info", b"Name: broken\nVersion: \xff\n")
    unpack(second, "empty-1.dist-info", "")
    unpack(second, "line-1.dist-info", of("line", "1\n  --index-url y"))
    unpack(second, "name-1.dist-info", of("a b", "1"))
    monkeypatch.setattr(sys, "path", [str(first), str(second)])
    found = inventory_of(root, ["environment"])

    assert [(pin.name, pin.version) for pin in found.pins] == [
        ("odd", "0.1-NA"),
        ("x-y", "1.0"),
        ("x-y", "3"),
        ("z", "1"),
        ("z", "2"),
    ]
    nameless = "has no name or no version"
    assert found.unaudited == tuple(
        Unaudited(name, "environment", 1, why)
        for name, why in [
            ("metadata in broken-1.dist-info", nameless),
            ("metadata in empty-1.dist-info", nameless),
            ("metadata in line-1.dist-info", nameless),
            ("metadata in name-1.dist-info", nameless),
            ("v", ADDRESS),
            ("w", ADDRESS),
        ]
    )
    assert found.requires["x-y"] == ("z",)
    assert found.requires["own"] == ("z",)
    assert found.root == ("own", "2")


@pytest.mark.parametrize("source", ["", "src"])
def test_what_a_build_left_in_the_projects_own_source_is_the_project(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, packages = tmp_path / "root", tmp_path / "packages"
    unpack(root / source, "own.egg-info", of("own", "1"))
    (root / source / "own.egg-info" / "requires.txt").write_text("x\n\n[extra]\ny\n")
    unpack(packages, "x.egg-info", of("x", "1"))
    monkeypatch.setattr(sys, "path", [str(root / source), str(packages)])
    (root / "pyproject.toml").write_text('[project]\nname = "Own"')
    found = inventory_of(root, ["environment"])

    assert found.pins == (Pin("x", "1", "environment", 1),)
    assert found.unaudited == ()
    assert found.root == ("own", "1")
    assert found.requires == {"own": ("x",), "x": ()}


IN_TREE = "has metadata in the project's own folder, not where packages are installed"
NAMED, UNNAMED = '[project]\nname = "own"', "[tool.artisan]"


@pytest.mark.parametrize(
    ("folder", "metadata", "pyproject", "why"),
    [
        ("", "x-99.dist-info", NAMED, IN_TREE),
        ("", "x-99.dist-info", UNNAMED, IN_TREE),
        ("tests", "x-99.dist-info", NAMED, IN_TREE),
        ("tests", "x.egg-info", UNNAMED, IN_TREE),
        ("src", "x.egg-info", NAMED, IN_TREE),
        # It may be the project, where nothing says how that is called.
        ("src", "x.egg-info", UNNAMED, None),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_no_metadata_in_the_projects_own_folder_hide_what_is_installed(
    folder: str, metadata: str, pyproject: str, why: str | None, is_first: bool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    root, packages = tmp_path / "root", tmp_path / "packages"
    unpack(root / folder, metadata, of("x", "99"))
    unpack(packages, "x-1.dist-info", of("x", "1"))
    (root / "pyproject.toml").write_text(pyproject)
    path = [str(root / folder), str(packages)]
    monkeypatch.setattr(sys, "path", path if is_first else path[::-1])
    found = inventory_of(root, ["environment"])

    assert found.pins == (Pin("x", "1", "environment", 1),)
    assert left(found) == ([] if why is None else [("x", why, "environment:1")])


def test_an_environment_may_lie_in_the_projects_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / ".venv" / "lib" / "site-packages"
    unpack(packages, "x-1.dist-info", of("x", "1"))
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(packages)])
    monkeypatch.setattr(sys, "path", [str(packages)])
    found = inventory_of(tmp_path, ["environment"])

    assert found.pins == (Pin("x", "1", "environment", 1),)
    assert found.unaudited == ()


@pytest.mark.parametrize("source", ["root/packages/x", "elsewhere"])
def test_what_is_installed_from_a_folder_is_told_once(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = json.dumps({"url": (tmp_path / source).as_uri(), "dir_info": {"editable": True}})
    unpack(tmp_path / "site", "x-1.dist-info", of("x", "1"), direct_url=url)
    unpack(tmp_path / source, "x.egg-info", of("x", "1"))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), str(tmp_path / source)])
    found = inventory_of(tmp_path / "root", ["environment"])

    assert found.pins == ()
    assert left(found) == [("x", ADDRESS, "environment:1")]


@pytest.mark.parametrize(("name", "root"), [("own", ("own", "1")), ("old", ("", ""))])
def test_the_project_is_known_by_its_name(
    name: str, root: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "root"
    here.mkdir()
    (here / "pyproject.toml").write_text(NAMED)
    unpack(tmp_path / "packages", f"{name}-1.dist-info", of(name, "1"), direct_url=json.dumps({"url": here.as_uri()}))
    monkeypatch.setattr(sys, "path", [str(tmp_path / "packages")])
    found = installed(here)

    assert found.root == root
    assert left(found) == ([("old", ADDRESS, "environment:1")] if name == "old" else [])
