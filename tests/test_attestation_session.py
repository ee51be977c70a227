"""A session signs its verdict, or says before it begins why it can not; what it says is what `artisan verify` reads."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attestation_house as house
import pytest
from attestation_house import Keys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from release_house import git

from conftest import Project, Run
from pytest_artisan.cli import main

SUITE = """
def test_pass(): pass
def test_measure(gate): gate.measure("p95", 12.25, unit="ms", at_most=20, n=60, interval=(11, 13))
"""
SIGNED = ("--artisan-purpose=release", "--artisan-report=v.intoto.json")


class Signing:
    """A project in a repository that trusts the key which its sessions sign with."""

    def __init__(self, project: Project, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.project, self.path = project, project.path
        self.keys = house.make_keys(folder)
        git(self.path, "init", "-q", "-b", "main", "--template=")
        for key, value in (("user.name", "T"), ("user.email", "t@example.test")):
            git(self.path, "config", key, value)
        project.tests(SUITE)
        git(self.path, "add", "test_it.py")
        house.trust(self.path, self.keys, 'models = "model"')
        (self.path / "model").mkdir()
        (self.path / "model" / "w.bin").write_bytes(b"weights")
        patch.setenv("ARTISAN_SIGNING_KEY", str(self.keys.private))
        patch.chdir(self.path)

    def run(self, *arguments: str) -> Run:
        return self.project.run("-q", *SIGNED, *arguments)

    def said(self, name: str = "v.intoto.json") -> Any:
        envelope = json.loads((self.path / name).read_bytes())
        return json.loads(base64.b64decode(envelope["payload"]))["predicate"]

    def commit(self, name: str, text: str) -> None:
        self.project.write(name, text)
        git(self.path, "add", name)
        git(self.path, "commit", "-q", "-m", "change")


@pytest.fixture
def signing(project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Signing:
    return Signing(project, tmp_path_factory.mktemp("keys"), monkeypatch)


def test_a_session_signs_what_verify_accepts(signing: Signing, capsys: pytest.CaptureFixture[str]) -> None:
    assert signing.run("--artisan-version=v2.1.0", "--artisan-stage=5%", "--artisan-journal=j.jsonl").last_line == "GO"
    said = signing.said()
    [gate] = said["gates"]
    assert (gate["planned"], gate["passed"], said["counts"]["planned"]) == (2, 2, 2)
    [number] = gate["measurements"]
    assert number == {
        "item": "test_it.py::test_measure",
        "name": "p95",
        "value": 12.25,
        "unit": "ms",
        "n": 60,
        "limit": ["at_most", 20],
        "interval": [11, 13],
    }
    assert said["purpose"] == {"kind": "train", "environment": "dev", "version": "v2.1.0", "stage": 5}
    capsys.readouterr()
    assert main(["verify", "v.intoto.json", "--env=dev", "--stage=5"]) == 0
    assert capsys.readouterr().out.startswith("GO: v2.1.0 to dev, until ")
    assert main(["replay", "j.jsonl", "v.intoto.json", "verdict.json"]) == 0


def test_each_verdict_of_a_release_names_the_one_before(signing: Signing) -> None:
    signing.run()
    (signing.path / "v.intoto.json").rename(signing.path / "first.intoto.json")
    assert signing.said("first.intoto.json")["previous"] is None
    signing.run("--artisan-previous=first.intoto.json")
    assert signing.said()["previous"] == house.payload_sha256(signing.path / "first.intoto.json")


def test_a_no_go_is_signed_too(signing: Signing) -> None:
    signing.commit("test_it.py", "def test_it(): assert 0\n")
    assert signing.run().status == 1
    said = signing.said()
    assert (said["verdict"], said["gates"][0]["reasons"]) == ("NO_GO", ["failed: assert 0"])


def test_workers_do_not_sign(signing: Signing) -> None:
    assert signing.run("-n", "2").last_line == "GO"
    assert main(["verify", "v.intoto.json", "--env=dev"]) == 0


def test_a_model_that_changes_during_the_run_is_no_go(signing: Signing) -> None:
    signing.commit("test_it.py", "from pathlib import Path\ndef test_it(): Path('model/w.bin').write_text('x')\n")
    run = signing.run()
    assert (run.status, run.err.splitlines()[-1]) == (1, "NO-GO")
    assert "v.intoto.json could not be made: model: the model changed during the run" in run.told
    assert not (signing.path / "v.intoto.json").exists()


def test_what_a_session_made_dirty_is_not_attested(signing: Signing) -> None:
    signing.commit("test_it.py", "from pathlib import Path\ndef test_it(): Path('.gitignore').write_text('')\n")
    run = signing.run()
    assert (run.status, run.err.splitlines()[-1]) == (1, "NO-GO")
    assert "the commit changed during the run" in run.told


def no_key(signing: Signing, patch: pytest.MonkeyPatch) -> None:
    patch.delenv("ARTISAN_SIGNING_KEY")


def key(text: bytes, mode: int = 0o600) -> Callable[[Signing, pytest.MonkeyPatch], None]:
    def change(signing: Signing, patch: pytest.MonkeyPatch) -> None:
        signing.keys.private.write_bytes(text or signing.keys.private.read_bytes())
        signing.keys.private.chmod(mode)

    return change


def name_key(name: str) -> Callable[[Signing, pytest.MonkeyPatch], None]:
    return lambda signing, patch: patch.setenv("ARTISAN_SIGNING_KEY", name)


def dirty(signing: Signing, patch: pytest.MonkeyPatch) -> None:
    (signing.path / "new.py").touch()


def no_model(signing: Signing, patch: pytest.MonkeyPatch) -> None:
    (signing.path / "model" / "w.bin").unlink()


def rsa_key() -> bytes:
    made = rsa.generate_private_key(65537, 2048)
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.private_bytes(pem, kind, serialization.NoEncryption())


def sealed_key(keys: Keys) -> bytes:
    made = serialization.load_pem_private_key(keys.private.read_bytes(), None)
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.private_bytes(pem, kind, serialization.BestAvailableEncryption(b"x"))


REFUSED: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "no key": (no_key, (), "ARTISAN_SIGNING_KEY names no key to sign with; openssl genpkey -algorithm ed25519"),
    "no file": (name_key("nowhere.pem"), (), "ARTISAN_SIGNING_KEY=nowhere.pem: No such file"),
    "a folder": (name_key("."), (), "ARTISAN_SIGNING_KEY=.: Is a directory"),
    "others may read it": (key(b"", 0o640), (), "others may read or write it; chmod 600 "),
    "no PEM": (key(b"secret-bytes"), (), "no private key (PEM, PKCS8, without a password)"),
    "another kind": (key(rsa_key()), (), "is no Ed25519 key"),
    "with a password": (lambda s, p: key(sealed_key(s.keys))(s, p), (), "no private key (PEM, PKCS8, without"),
    "no identity": (name_key("sigstore"), (), "has no [[tool.artisan.attestation.keyless]] with identity and issuer"),
    "dirty": (dirty, (), "the files here are not just those of a commit: untracked new.py"),
    "no model": (no_model, (), "holds no file, so there is no model in it"),
    "version": (None, ("--artisan-version=2.1",), "'2.1' is no version; allowed are v and a semantic version"),
    "stage": (None, ("--artisan-stage=0",), "--artisan-stage=0: is no percentage above 0 and at most 100"),
    "stage nan": (None, ("--artisan-stage=nan",), "--artisan-stage=nan: is no percentage"),
    "previous": (None, ("--artisan-previous=pyproject.toml",), "pyproject.toml: no envelope (DSSE)"),
    "no previous": (None, ("--artisan-previous=x.intoto.json",), "x.intoto.json: No such file"),
    "purpose": (None, ("--artisan-purpose=merge",), "needs --artisan-purpose=release"),
}


@pytest.mark.parametrize(("change", "arguments", "text"), REFUSED.values(), ids=REFUSED)
def test_what_can_not_be_signed_is_a_usage_error_before_anything_runs(
    signing: Signing, monkeypatch: pytest.MonkeyPatch, change: Any, arguments: tuple[str, ...], text: str
) -> None:
    if change is not None:
        change(signing, monkeypatch)
    run = signing.run(*arguments)
    assert run.status == 4
    [line] = [line for line in run.err.splitlines() if line]
    assert text in line
    assert "secret-bytes" not in run.out + run.err
    assert "passed" not in run.out


@pytest.mark.parametrize("option", ["--artisan-version=v1.0.0", "--artisan-stage=5", "--artisan-previous=x"])
def test_what_is_of_a_signed_verdict_alone_needs_one(project: Project, option: str) -> None:
    project.tests("def test_it(): pass\n")
    run = project.run(option)
    assert (run.status, f"{option.partition('=')[0]} needs --artisan-report=FILE.intoto.json" in run.err) == (4, True)
    run = project.plain(option)
    assert (run.status, "needs --artisan-gates" in run.err) == (4, True)


def test_without_sigstore_keyless_is_one_clear_line(signing: Signing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sigstore.errors", None)
    text = (signing.path / "pyproject.toml").read_text(encoding="utf-8")
    table = '[[tool.artisan.attestation.keyless]]\nidentity = "https://ci.test/w"\nissuer = "https://ci.test"\n'
    signing.commit("pyproject.toml", text + table)
    monkeypatch.setenv("ARTISAN_SIGNING_KEY", "sigstore")
    run = signing.run()
    missing = "sigstore is not installed; pip install pytest-artisan[keyless] brings it"
    assert (run.status, missing in run.err) == (4, True)


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("--env=dev",), 0, "GO: "),
        (("--env=stg",), 26, "it is for dev, not for stg"),
        (("--env=dev", "--version=v1.0.0"), 27, "it is for the version none, not for v1.0.0"),
        (("--env=dev", "--key=pyproject.toml"), 2, "pyproject.toml: no public key"),
    ],
)
def test_the_command_ends_with_the_status_of_the_check(
    signing: Signing, arguments: tuple[str, ...], status: int, text: str
) -> None:
    signing.run()
    command = [sys.executable, "-m", "pytest_artisan", "verify", "v.intoto.json", *arguments]
    done = subprocess.run(command, cwd=signing.path, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert text in done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("\n") == 1


def test_the_answer_as_json_names_the_check(signing: Signing, capsys: pytest.CaptureFixture[str]) -> None:
    signing.run("--artisan-version=v2.1.0")
    capsys.readouterr()
    assert main(["verify", "v.intoto.json", "--env=dev", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "go": True,
        "environment": "dev",
        "version": "v2.1.0",
        "stage": None,
        "kind": "train",
        "previous": None,
        "commit": git(signing.path, "rev-parse", "HEAD"),
        "expires": signing.said()["expiresAt"],
        "nonce": signing.said()["nonce"],
        "digest": house.payload_sha256(signing.path / "v.intoto.json"),
    }
    assert main(["verify", "v.intoto.json", "--env=prod", "--json"]) == 26
    found = json.loads(capsys.readouterr().out)
    assert (found["go"], found["check"]) == (False, "environment")
