"""Checkpoints of models in the bill of a project's materials, and who is not let through."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sbom_bills import GOOD, VERSIONS, bill_of, inventory_of, of_name, safetensors, tensor

from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.sbom.checkpoints import read_checkpoints
from pytest_artisan.audit.sbom.checks import Version
from pytest_artisan.verdict.evidence import NoEvidence


def npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=True, **arrays)
    return content.getvalue()


def zipped(*members: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return content.getvalue()


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f8") -> bytes:
    content = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + data


class Evil:
    """Its pickle leaves a file where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("run", "w")


CHECKPOINTS = {
    "plain.safetensors": GOOD,
    "padded.safetensors": safetensors(json.dumps({"a": tensor(0, 0, "NEW", (0, 9))}).encode() + b"   "),
    "half-bytes.safetensors": safetensors({"a": tensor(0, 3, "F4", (6,))}, bytes(3)),
    "arrays.npz": npz(a=np.zeros((2, 3)), b=np.array(3), c=np.array(["x"]), d=np.zeros((0, 4))),
    "packed.npz": zipped(("a.npy", npy((10**5,), bytes(8 * 10**5)))),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_checkpoint_is_a_component_with_its_content(version: Version, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name, content in CHECKPOINTS.items():
        (tmp_path / "models" / name).write_bytes(content)
    bill = json.loads(
        bill_of(tmp_path, inventory_of("a==1"), models=("./models/plain.safetensors", "models"), version=version)
    )
    [root] = [one for one in bill["dependencies"] if one["ref"] == bill["metadata"]["component"]["bom-ref"]]

    assert len(bill["components"]) == 1 + len(CHECKPOINTS)
    for name, content in CHECKPOINTS.items():
        found = of_name(bill, f"models/{name}")
        assert found["type"] == "machine-learning-model"
        assert found["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
        assert {one["name"]: one["value"] for one in found["properties"]} == {
            "pytest-artisan:format": name.partition(".")[2],
            "pytest-artisan:size_bytes": str(len(content)),
        }
        assert found["bom-ref"] in root["dependsOn"]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("a.pt", pickle.dumps(Evil()), "is of a kind whose content could run; allowed are"),
        ("a.pkl", b"", "is of a kind whose content could run"),
        ("model", b"", "is of a kind whose content could run"),
        ("a.npy", npy((1,), bytes(8)), "is of a kind whose content could run"),
        ("a.safetensors", b"", "impossible length"),
        ("a.safetensors", safetensors({"a": tensor()}, bytes(8))[:30], "impossible length"),
        ("a.safetensors", safetensors({}, length=2**63), "impossible length"),
        ("a.safetensors", safetensors({}), "it holds no tensor"),
        ("a.safetensors", safetensors(b"\xff\xfe"), "can not be read"),
        ("a.safetensors", safetensors(b"[" * 10**6), "can not be read"),
        ("a.safetensors", safetensors(b'{"a": ' * 10**5), "can not be read"),
        ("a.safetensors", safetensors([]), "can not be read"),
        ("a.safetensors", safetensors({"__metadata__": {"x": 1}, "a": tensor()}, bytes(8)), "can not be read"),
        ("a.safetensors", safetensors({"a": tensor(shape=(-2,))}, bytes(8)), "can not be read"),
        ("a.safetensors", safetensors({"a": tensor()}, bytes(7)), "does not tell of all its bytes"),
        ("a.safetensors", safetensors({"a": tensor()}, bytes(9)), "does not tell of all its bytes"),
        ("a.safetensors", safetensors({"a": tensor(shape=(3,))}, bytes(8)), "'a' does not lie where"),
        ("a.safetensors", safetensors({"a": tensor(), "b": tensor()}, bytes(8)), "'b' does not lie where"),
        ("a.safetensors", safetensors({"a": tensor(8, 0)}, bytes(8)), "'a' does not lie where"),
        ("a.safetensors", safetensors({"a": tensor(shape=(2**62,) * 9999)}, bytes(8)), "'a' does not lie where"),
        ("a.npz", npz(a=np.array([Evil()], dtype=object)), "'a.npy' holds objects"),
        ("a.npz", pickle.dumps(Evil()), "it is no archive of arrays"),
        ("a.npz", pickle.dumps(Evil()) + npz(a=np.zeros(3)), "it is no archive of arrays"),
        ("a.npz", npy((1,), bytes(8)), "it is no archive of arrays"),
        ("a.npz", npz(a=np.zeros(9))[:-30], "it can not be read"),
        ("a.npz", b"", "it is no archive of arrays"),
        ("a.npz", zipped(), "it holds no array"),
        ("a.npz", zipped(("run.py", b"print(1)")), "it can not be read"),
        ("a.npz", zipped(("a.npy", npy((10**15,)))), "'a.npy' is not as long as its header says"),
        ("a.npz", zipped(("a.npy", npy((-1,), bytes(8)))), "'a.npy' is not as long as its header says"),
        ("a.npz", zipped(("a.npy", npy((1,), bytes(8))[:20])), "it can not be read"),
        ("a.npz", zipped(("a.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)), "it can not be read"),
    ],
    ids=[
        *("pt", "pkl", "no suffix", "npy", "nothing", "cut header", "length", "no tensor", "bytes", "deep", "deeper", "a list"),
        *("metadata", "negative", "short", "long", "wrong shape", "twice the same", "backwards", "huge shape"),
        *("objects", "a pickle", "a pickle before", "an array", "cut", "empty", "no member", "code", "huge array"),
        *("negative array", "cut array", "nonsense header"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_or_could_run_is_no_evidence(
    name: str, content: bytes, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(content)

    for given_path in (f"models/{name}", "models"):
        with pytest.raises(NoEvidence, match="^the SBOM can not be made: models/" + re.escape(name)) as caught:
            bill_of(tmp_path, inventory_of("a==1"), models=(given_path,))
        assert cause in str(caught.value)
        assert "allowed are *.safetensors, and *.npz without objects" in str(caught.value)
        assert str(caught.value).isprintable()
    assert not (tmp_path / "run").exists()


def link_out(folder: Path) -> None:
    (folder.parent / "outside.npz").write_bytes(npz(a=np.zeros(1)))
    (folder / "m" / "a.npz").symlink_to(folder.parent / "outside.npz")


def link_in(folder: Path) -> None:
    (folder / "m" / "deep").symlink_to(folder, target_is_directory=True)


@pytest.mark.parametrize(
    ("prepare", "path", "cause"),
    [
        (lambda folder: None, "nowhere.npz", "nowhere.npz: does not exist"),
        (lambda folder: None, "a\0.npz", "does not exist"),
        (lambda folder: None, "m", "m: holds no checkpoint; allowed are"),
        (lambda folder: (folder.parent / "x.npz").write_bytes(GOOD), "../x.npz", "lies outside of the project"),
        (lambda folder: None, "/etc", "lies outside of the project"),
        (link_out, "m", "m/a.npz: lies outside of the project"),
        (link_in, "m", "m/deep: is a link to a folder"),
        (lambda folder: (folder / "m" / "a.npz").symlink_to("a.npz"), "m", "m/a.npz: does not exist"),
        (lambda folder: os.mkfifo(folder / "m" / "a.npz"), "m", "m/a.npz: is no file"),
        (lambda folder: (folder / "m" / "a\n.npz").write_bytes(GOOD), "m", "can not be written in one line"),
        (lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/m/\xff.npz")).write_bytes(GOOD), "m", "can not be written"),
    ],
    ids=[
        *("missing", "a zero byte", "empty folder", "above", "absolute", "a link out", "a link to a folder"),
        *("a circle", "a pipe", "two lines", "no text"),
    ],
)  # fmt: skip
def test_only_files_below_the_project_are_its_checkpoints(
    prepare: Callable[[Path], object], path: str, cause: str, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    (root / "m").mkdir(parents=True)
    prepare(root)

    with pytest.raises(NoAudit, match=re.escape(cause)):
        read_checkpoints(root, [path])


def test_a_folder_holds_checkpoints_and_what_describes_them(tmp_path: Path) -> None:
    for name in ("b/z.safetensors", "b/config.json", "README.md", "b/c/.gitattributes"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_bytes(GOOD)
    (tmp_path / "m" / "link.safetensors").symlink_to(tmp_path / "m" / "b" / "z.safetensors")

    assert [one.path for one in read_checkpoints(tmp_path, ["m", "m/b/z.safetensors"])] == ["m/b/z.safetensors"]
