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
from cryptography.hazmat.primitives.asymmetric import ec
from release_house import git

from conftest import Project, Run
from pytest_artisan.cli import main

SUITE = """
def test_pass(): pass
def test_measure(gate): gate.measure("p95", 12.25, unit="ms", at_most=20, n=60, interval=(11, 13))
"""
POLICY = '[tool.pytest.ini_options]\n[tool.artisan]\nrequired = ["unit"]\n'
SIGNED = ("--artisan-purpose=release", "--artisan-report=v.intoto.json")


class Signing:
    """A project in a repository that trusts the key which its sessions sign with."""

    def __init__(self, project: Project, shop: Path, patch: pytest.MonkeyPatch) -> None:
        self.project, self.path = project, house.copy_of(shop, project.path)
        self.keys = Keys(self.path / ".git" / "signing.pem", self.path / house.PUBLIC)
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


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository, with the private key where git does not see it, a model, and a lock file that git ignores."""
    path = tmp_path_factory.mktemp("shop")
    git(path, "init", "-q", "-b", "main", "--template=")
    files = {
        "test_it.py": SUITE,
        "pyproject.toml": POLICY,
        ".gitignore": "/uv.lock\n*.html\n",
        "uv.lock": "",
        "w.bin": "",
    }
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")
    (path / "model").mkdir()
    (path / "w.bin").rename(path / "model" / "w.bin")
    git(path, "add", "test_it.py")
    house.trust(path, house.make_keys(path / ".git"), 'models = "model"\nlock = "uv.lock"')
    return path


@pytest.fixture
def signing(project: Project, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Signing:
    return Signing(project, shop, monkeypatch)


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


def test_a_secret_in_an_id_is_neither_told_nor_in_the_way_of_a_replay(signing: Signing) -> None:
    # In the order of ids it is the last one, and behind its mask the first.
    suite = """
        import pytest
        from pytest_artisan.release.secrets import kept

        @pytest.mark.parametrize("text", [kept("~!secret"), "a"])
        def test_it(text): pass

        @pytest.mark.parametrize("text", ["a", "~!secret"])
        def test_measure(text, gate): gate.measure("p95", 1, unit="ms", at_most=2)
    """
    signing.commit("test_it.py", suite)
    assert signing.run("--artisan-journal=j.jsonl").last_line == "GO"
    assert main(["replay", "j.jsonl", "v.intoto.json", "verdict.json"]) == 0
    assert "!secret" not in (signing.path / "verdict.json").read_text(encoding="utf-8")


def test_a_page_beside_it_is_in_nobodys_way(signing: Signing) -> None:
    (signing.path / "report.html").write_text("an earlier one", encoding="utf-8")
    assert signing.run("--artisan-report=report.html").last_line == "GO"


def test_workers_do_not_sign(signing: Signing) -> None:
    assert signing.run("-n1").last_line == "GO"
    assert main(["verify", "v.intoto.json", "--env=dev"]) == 0


def test_a_model_or_a_lock_file_that_changes_during_the_run_is_no_go(signing: Signing) -> None:
    change = "[Path(name).write_text('x') for name in ('model/w.bin', 'uv.lock')]"
    signing.commit("test_it.py", f"from pathlib import Path\ndef test_it(): {change}\n")
    run = signing.run()
    assert (run.status, run.err.splitlines()[-1]) == (1, "NO-GO")
    assert "v.intoto.json could not be made: models, lock: changed during the run" in run.told
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


def long_valid(signing: Signing, patch: pytest.MonkeyPatch) -> None:
    with (signing.path / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('valid = "9000h"\n')


def no_model(signing: Signing, patch: pytest.MonkeyPatch) -> None:
    (signing.path / "model" / "w.bin").unlink()


def other_key() -> bytes:
    made = ec.generate_private_key(ec.SECP256R1())
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.private_bytes(pem, kind, serialization.NoEncryption())


def sealed_key(keys: Keys) -> bytes:
    made = serialization.load_pem_private_key(keys.private.read_bytes(), None)
    pem, kind = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return made.private_bytes(pem, kind, serialization.BestAvailableEncryption(b"x"))


REFUSED: dict[str, tuple[Any, tuple[str, ...], str]] = {
    "no key": (no_key, (), "ARTISAN_SIGNING_KEY names no key to sign with; openssl genpkey -algorithm ed25519"),
    "no file": (name_key("nowhere.pem"), (), "ARTISAN_SIGNING_KEY: No such file"),
    "a folder": (name_key("."), (), "ARTISAN_SIGNING_KEY: Is a directory"),
    "the key itself": (name_key("-----BEGIN PRIVATE KEY-----\nsecret-bytes"), (), "names the file that holds the key"),
    "others may read it": (key(b"", 0o640), (), "others may read or write it; chmod 600 "),
    "no PEM": (key(b"secret-bytes"), (), "no private key (PEM, PKCS8, without a password)"),
    "another kind": (key(other_key()), (), "is no Ed25519 key"),
    "with a password": (lambda s, p: key(sealed_key(s.keys))(s, p), (), "no private key (PEM, PKCS8, without"),
    "no identity": (name_key("sigstore"), (), "has no [[tool.artisan.attestation.keyless]] with identity and issuer"),
    "dirty": (dirty, (), "the files here are not just those of a commit: untracked new.py"),
    "valid": (long_valid, (), "attestation valid: 9000h is longer than a year"),
    "no lock": (lambda s, p: (s.path / "uv.lock").unlink(), (), "attestation.lock: uv.lock: No such file"),
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


def test_verify_answers_in_one_line_and_with_the_status_of_the_check(
    signing: Signing, capsys: pytest.CaptureFixture[str]
) -> None:
    signing.run("--artisan-version=v2.1.0")
    capsys.readouterr()
    assert main(["verify", "v.intoto.json", "--env=dev", "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {
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
    [line] = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["go"], found["check"]) == (False, "environment")
    for arguments, status, text in (
        (("--version=v1.0.0",), 27, "it is for the version v2.1.0, not for v1.0.0"),
        (("--key=pyproject.toml",), 2, "pyproject.toml: no public key"),
    ):
        assert main(["verify", "v.intoto.json", "--env=dev", *arguments]) == status
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n"), text in said.err) == ("", 1, True)
    command = [sys.executable, "-m", "pytest_artisan", "verify", "v.intoto.json", "--env=stg"]
    done = subprocess.run(command, cwd=signing.path, capture_output=True, text=True, check=False)
    told = "artisan: v.intoto.json: it is for dev, not for stg\n"
    assert (done.returncode, done.stdout, done.stderr) == (26, "", told)
