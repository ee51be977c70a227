"""Keys, a repository that trusts one, and verdicts that it has signed."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from release_house import git

from pytest_artisan.commands.attestation import policies_of
from pytest_artisan.release.attestation.attesting import Attestor, Order, grounds_of
from pytest_artisan.release.environments import environment_name
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import Evidence, Plan

AT = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
PLAN, SEEN = Plan({"unit": ("t.py::t",)}), Evidence(frozenset(["t.py::t"]))
PUBLIC = "keys/release.pem"
# git does not see what a session leaves behind, or what is deployed beside the commit.
IGNORED = "*.intoto.json\n.pytest_cache/\n__pycache__/\n/model/\n*.jsonl\nverdict.json\n"


@dataclass(frozen=True)
class Keys:
    """A pair in files: the private one, which its owner alone may read, and the public one."""

    private: Path
    public: Path


def make_keys(folder: Path, name: str = "signing") -> Keys:
    """As `openssl genpkey -algorithm ed25519` makes them."""
    key = Ed25519PrivateKey.generate()
    made = Keys(folder / f"{name}.pem", folder / f"{name}.pub.pem")
    made.private.touch(0o600)
    kind = serialization.PrivateFormat.PKCS8
    made.private.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    made.public.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, spki))
    return made


def trust(root: Path, keys: Keys, more: str = "") -> None:
    """Commit the public key, and a policy that names it with `more` keys of [tool.artisan.attestation]."""
    (root / PUBLIC).parent.mkdir(exist_ok=True)
    (root / PUBLIC).write_bytes(keys.public.read_bytes())
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[tool.artisan.attestation]\nkeys = ["{PUBLIC}"]\n{more}\n')
    with (root / ".gitignore").open("a", encoding="utf-8") as file:
        file.write(IGNORED)
    git(root, "add", ".gitignore", "pyproject.toml", PUBLIC)
    git(root, "commit", "-q", "-m", "trust a key")


def copy_of(shop: Path, folder: Path) -> Path:
    """A repository with all that lies in it, which takes a fraction of making one."""
    shutil.copytree(shop, folder, symlinks=True, dirs_exist_ok=True)
    return folder


def verdict_of(root: Path, environment: str = "dev", policy: str = "", evidence: Evidence = SEEN) -> Verdict:
    """What a release session at HEAD comes to by the policy there; GO, where nothing else is seen."""
    return decide(_asked(root, environment, policy), PLAN, evidence)


def _asked(root: Path, environment: str, policy: str) -> Requirements:
    digest, commit = policies_of(root)(environment_name(environment), policy), git(root, "rev-parse", "HEAD")
    return Requirements(Purpose.RELEASE, ("unit",), digest, environment, policy=policy, commit=commit)


def sign(
    root: Path,
    keys: Keys,
    *,
    environment: str = "dev",
    version: str = "",
    stage: float | None = None,
    previous: Path | None = None,
    policy: str = "",
    at: datetime = AT,
    verdict: Verdict | None = None,
    told: tuple[Requirements, Plan, Evidence] | None = None,
    name: str = "verdict.intoto.json",
) -> Path:
    """A signed verdict for HEAD of a repository whose files are committed: GO, valid for a day from `at` on.

    It is for all stages, where none is named; where one of this release was used before, it has to be the `previous`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARTISAN_SIGNING_KEY", str(keys.private))
        attestor = Attestor.of(root, policy, Order(version, stage, previous), lambda: at)
        found = verdict or verdict_of(root, environment, policy)
        grounds = grounds_of(*(told or (_asked(root, environment, policy), PLAN, SEEN)))
        text = attestor.attest(found, grounds, baseline=False)
    path = root / name
    path.write_text(text, encoding="utf-8")
    return path


def payload_sha256(path: Path) -> str:
    """By what a signed verdict is named."""
    return sha256(base64.b64decode(json.loads(path.read_bytes())["payload"])).hexdigest()
