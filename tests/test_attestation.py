"""A signed verdict lets exactly that be deployed which it is about: every change of it, or of what lies here, is refused."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import attestation_house as house
import pytest
import rfc8785
from attestation_house import AT, Keys
from cryptography.hazmat.primitives import serialization
from release_house import git, repository
from securesystemslib.dsse import Envelope
from securesystemslib.signer import Signer, SSlibKey

from pytest_artisan.audit.waivers import Waiver
from pytest_artisan.cli import main
from pytest_artisan.commands.attestation import policies_of
from pytest_artisan.gates.tables import Allowance
from pytest_artisan.policy import load_policy
from pytest_artisan.release.attestation.attested import Attested, Check, Refused, Wanted
from pytest_artisan.release.attestation.attesting import derived
from pytest_artisan.release.attestation.envelope import opened, sealed
from pytest_artisan.release.attestation.keyless import Identity
from pytest_artisan.release.attestation.keys import Trusted, public_key, signer
from pytest_artisan.release.attestation.revisions import revisions_of
from pytest_artisan.release.attestation.settings import Attestation
from pytest_artisan.release.attestation.statement import parsed
from pytest_artisan.release.attestation.subjects import subjects
from pytest_artisan.release.attestation.verifying import Facts, examined, facts_of, verify
from pytest_artisan.release.tags import Release
from pytest_artisan.release.tags import write as write_tag
from pytest_artisan.release.worktree import Worktree
from pytest_artisan.settings import SettingsError, convert
from pytest_artisan.verdict.decide import Purpose, Requirements, decide
from pytest_artisan.verdict.evidence import Evidence, Finding, ItemResult, NoEvidence, Outcome

DEV, WANTED = Wanted(environment="dev"), Wanted(environment="dev", version="v2.1.0", stage=5)
BESIDE = 'image = "image.txt"\nmodels = "model"\nsbom = "sbom.json"\nlock = "uv.lock"'
REVISION = 'revision = "{id}"\ndown_revision = {down}\n\n\ndef upgrade() -> None: ...\n'


class Stand:
    """A repository with all that a verdict can be about, and a verdict for v2.1.0 at the stage of 5 %."""

    def __init__(self, folder: Path) -> None:
        self.keys = house.make_keys(folder)
        self.other = house.make_keys(folder, "other")
        self.root = folder / "shop"
        repository(self.root)
        (self.root / "model").mkdir()
        files = {
            "image.txt": f"registry.test/shop@sha256:{'a' * 64}\n",
            "sbom.json": "{}",
            "uv.lock": "version = 1\n",
            "alembic.ini": "[alembic]\nscript_location = migrations\n",
            "one.py": REVISION.format(id="0001", down=None),
            "two.py": REVISION.format(id="0002", down='"0001"'),
        }
        for name, text in files.items():
            (self.root / name).write_text(text, encoding="utf-8")
        (self.root / "model" / "w.bin").write_bytes(b"weights")
        git(self.root, "add", *files)
        house.trust(self.root, self.keys, BESIDE)
        git(self.root, "tag", "other", "HEAD~1")
        self.tag()
        self.path = house.sign(self.root, self.keys, version="v2.1.0", stage=5)
        self.data = self.path.read_bytes()
        self.payload = base64.b64decode(json.loads(self.data)["payload"])
        self.signer = signer_of(self.keys)
        self.trusted: list[Trusted] = [public_key(self.keys.public.read_text(), "key")]
        self.facts = facts_of(self.root, WANTED, policies_of(self.root), "", self.path)

    def tag(self) -> None:
        """Release HEAD as v2.1.0, by a tag whose record is sound."""
        release = Release(
            "v2.1.0", git(self.root, "rev-parse", "HEAD"), AT.replace(microsecond=0), "T <t@e.test>", "new"
        )
        oid = write_tag(self.root, release)
        git(self.root, "update-ref", "refs/tags/v2.1.0", oid)

    def statement(self) -> Any:
        return json.loads(self.payload)

    def sealed(self, tree: Any) -> bytes:
        return sealed(rfc8785.dumps(tree), self.signer).encode()

    def check(self, data: bytes, facts: Facts | None = None, wanted: Wanted = WANTED, now: datetime = AT) -> Attested:
        """As `verify` does, of what was read once."""
        payload = opened(data, self.trusted)
        return examined(payload, parsed(payload), facts or self.facts, wanted, now)

    def refusal(self, data: bytes, **given: Any) -> Check:
        with pytest.raises(Refused) as caught:
            self.check(data, **given)
        assert caught.value.status == caught.value.check
        return caught.value.check


def signer_of(keys: Keys) -> Signer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARTISAN_SIGNING_KEY", str(keys.private))
        return signer(Attestation())


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Stand:
    return Stand(tmp_path_factory.mktemp("stand"))


def test_what_was_attested_may_be_deployed(stand: Stand) -> None:
    found = verify(stand.root, stand.path, WANTED, AT, policies_of(stand.root))
    assert found == stand.check(stand.data)
    assert found == Attested(
        digest=hashlib.sha256(stand.payload).hexdigest(),
        nonce=stand.statement()["predicate"]["nonce"],
        commit=git(stand.root, "rev-parse", "HEAD"),
        kind="train",
        environment="dev",
        version="v2.1.0",
        stage=5,
        expires=AT + timedelta(hours=24),
    )


def test_the_payload_is_canonical_and_names_all_that_is_deployed(stand: Stand) -> None:
    tree = stand.statement()
    assert rfc8785.dumps(tree) == stand.payload
    digests = {one["name"]: one["digest"] for one in tree["subject"]}
    sums = {name: hashlib.sha256((stand.root / name).read_bytes()).hexdigest() for name in ("sbom.json", "uv.lock")}
    assert digests.pop("models")["sha256"] != digests.pop("migrations at 0002")["sha256"]
    assert digests == {
        "commit": {"gitCommit": git(stand.root, "rev-parse", "HEAD")},
        "tree": {"gitTree": git(stand.root, "rev-parse", "HEAD^{tree}")},
        "image": {"sha256": "a" * 64},
        "sbom": {"sha256": sums["sbom.json"]},
        "lock": {"sha256": sums["uv.lock"]},
    }


def test_another_implementation_accepts_the_envelope(stand: Stand) -> None:
    key = serialization.load_pem_public_key(stand.keys.public.read_bytes())
    envelope = Envelope.from_dict(json.loads(stand.data))
    known = SSlibKey.from_crypto(key, keyid=stand.trusted[0].keyid)
    assert envelope.verify([known], 1)
    assert envelope.payload == stand.payload


def test_every_changed_byte_of_the_file_is_refused(stand: Stand) -> None:
    chance = random.Random(7)  # noqa: S311 - nothing secret
    tried = 0
    for place in range(len(stand.data)):
        for flip in chance.sample(range(1, 256), 3):
            changed = bytearray(stand.data)
            changed[place] ^= flip
            assert stand.refusal(bytes(changed)) in (Check.ENVELOPE, Check.SIGNATURE)
            tried += 1
    for end in range(len(stand.data)):
        assert stand.refusal(stand.data[:end]) is Check.ENVELOPE
        tried += 1
    assert tried > 10_000


def rewritten(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """The envelope with other parts, written as ours are."""

    def written(data: bytes) -> bytes:
        envelope = json.loads(data)
        change(envelope)
        return json.dumps(envelope, separators=(",", ":")).encode() + b"\n"

    return written


def text(before: bytes, after: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(before, after, 1)


ENVELOPES: dict[str, tuple[Callable[[bytes], bytes], Check]] = {
    "no signature": (rewritten(lambda e: e["signatures"].clear()), Check.ENVELOPE),
    "two signatures": (rewritten(lambda e: e["signatures"].append(e["signatures"][0])), Check.ENVELOPE),
    "an unknown key": (rewritten(lambda e: e["signatures"][0].update(keyid="0" * 64)), Check.SIGNATURE),
    "no key": (rewritten(lambda e: e["signatures"][0].update(keyid="")), Check.SIGNATURE),
    "no bytes signed": (rewritten(lambda e: e["signatures"][0].update(sig="")), Check.SIGNATURE),
    "a bundle": (rewritten(lambda e: e["signatures"][0].update(bundle={})), Check.SIGNATURE),
    "another type": (rewritten(lambda e: e.update(payloadType="application/json")), Check.ENVELOPE),
    "a longer type": (rewritten(lambda e: e.update(payloadType=e["payloadType"] + " ")), Check.ENVELOPE),
    "one part more": (rewritten(lambda e: e.update(more=1)), Check.ENVELOPE),
    "base64 for URLs": (rewritten(lambda e: e["signatures"][0].update(sig="-_" * 43 + "==")), Check.ENVELOPE),
    "base64 in lines": (text(b'"payload":"', b'"payload":"\\n'), Check.ENVELOPE),
    "base64 unpadded": (text(b"==", b""), Check.ENVELOPE),
    "a part twice": (text(b'{"payload":', b'{"payload":"e30=","payload":'), Check.ENVELOPE),
    "a blank": (text(b":", b": "), Check.ENVELOPE),
    "another end of line": (text(b"\n", b"\r\n"), Check.ENVELOPE),
    "a mark of its encoding": (lambda data: b"\xef\xbb\xbf" + data, Check.ENVELOPE),
    "half a character": (text(b'"keyid":"', b'"keyid":"\\ud800'), Check.ENVELOPE),
    "nesting": (lambda data: b"[" * 100_000, Check.ENVELOPE),
    "nothing": (lambda data: b"", Check.ENVELOPE),
}


@pytest.mark.parametrize(("change", "check"), ENVELOPES.values(), ids=ENVELOPES)
def test_there_is_one_way_to_write_an_envelope(stand: Stand, change: Callable[[bytes], bytes], check: Check) -> None:
    other = change(stand.data)
    assert other != stand.data
    assert stand.refusal(other) is check


PAYLOADS: dict[str, Callable[[bytes], bytes]] = {
    "a key twice": text(b'"verdict":"GO"', b'"verdict":"NO_GO","verdict":"GO"'),
    "a key twice, one of them escaped": text(b'"verdict":"GO"', b'"verdict":"GO","v\\u0065rdict":"GO"'),
    "a blank": text(b",", b", "),
    "another order": text(b'"declared":0,"deselected":0', b'"deselected":0,"declared":0'),
    "a number of another kind": text(b'"declared":0', b'"declared":0.0'),
    "a negative nothing": text(b'"declared":0', b'"declared":-0'),
    "no number": text(b'"declared":0', b'"declared":NaN'),
    "a huge number": text(b'"declared":0', b'"declared":9007199254740993'),
    "a number without an end": text(b'"stage":5', b'"stage":1e999'),
    "a number written at length": text(b'"stage":5', b'"stage":5.0'),
    "an escape": text(b'"GO"', b'"\\u0047O"'),
    "a moment in words of another zone": text(b'10:00:00Z"', b'10:00:00+00:00"'),
    "a digest with a line end": text(b'","plan"', b'\\n","plan"'),
    "something behind it": lambda payload: payload + b"\n",
    "another encoding": lambda payload: payload.decode().encode("utf-16"),
}


@pytest.mark.parametrize("change", PAYLOADS.values(), ids=PAYLOADS)
def test_with_the_key_too_there_is_one_way_to_write_a_statement(stand: Stand, change: Callable[[bytes], bytes]) -> None:
    other = change(stand.payload)
    assert other != stand.payload
    assert stand.refusal(sealed(other, stand.signer).encode()) is Check.STATEMENT


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of everything in a tree, the tree itself left out."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ():
        yield (*path, key)
        yield from leaves(value, (*path, key))


def changed(tree: Any, path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> Any:
    tree = copy.deepcopy(tree)
    inside = tree
    for key in path[:-1]:
        inside = inside[key]
    change(inside, path[-1])
    return tree


def put(value: Any) -> Callable[[Any, Any], None]:
    return lambda inside, key: inside.__setitem__(key, value)


def remove(inside: Any, key: Any) -> None:
    del inside[key]


def test_every_change_of_the_payload_is_refused_without_the_key(stand: Stand) -> None:
    tree, envelope = stand.statement(), json.loads(stand.data)
    for path in leaves(tree):
        for change in (remove, put(None), put("x"), put(7)):
            other = changed(tree, path, change)
            if other != tree:
                envelope["payload"] = base64.b64encode(rfc8785.dumps(other)).decode()
                data = json.dumps(envelope, separators=(",", ":")).encode() + b"\n"
                assert stand.refusal(data) is Check.SIGNATURE


def test_with_the_key_too_nothing_may_be_missing_unknown_or_of_another_type(stand: Stand) -> None:
    tree = stand.statement()
    places = list(leaves(tree))
    for path in places:
        if isinstance(path[-1], str):
            assert stand.refusal(stand.sealed(changed(tree, path, remove))), path
        wrong = changed(tree, path, put([[]]))
        assert stand.refusal(stand.sealed(wrong)) is Check.STATEMENT, path
    for path in [(), *(path for path in places if isinstance(tree_at(tree, path), dict))]:
        assert stand.refusal(stand.sealed(changed(tree, (*path, "more"), put("x")))) is Check.STATEMENT, path


def tree_at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


P, GATE = "predicate", ("predicate", "gates", 0)
WAIVED = {"gate": "security", "finding": "osv X", "owner": "Kim", "expires": "2026-11-23"}
SIGNED = [
    (("_type",), "https://in-toto.io/Statement/v2", Check.STATEMENT),
    (("predicateType",), "https://pytest-artisan.dev/verdict/v2", Check.STATEMENT),
    (("subject", 0, "digest"), {"gitCommit": "b" * 40}, Check.COMMIT),
    (("subject", 1, "digest"), {"gitTree": "b" * 40}, Check.TREE),
    (("subject", 2, "digest"), {"sha256": "b" * 64}, Check.IMAGE),
    (("subject", 3, "digest"), {"sha256": "b" * 64}, Check.MODELS),
    (("subject", 4, "digest"), {"sha256": "b" * 64}, Check.SBOM),
    (("subject", 5, "digest"), {"sha256": "b" * 64}, Check.LOCK),
    (("subject", 6, "digest"), {"sha256": "b" * 64}, Check.MIGRATIONS),
    (("subject", 6, "name"), "migrations at 0003", Check.MIGRATIONS),
    (("subject", 6, "name"), "flags", Check.MIGRATIONS),
    ((P, "purpose", "kind"), "hotfix", Check.PURPOSE),
    ((P, "purpose", "environment"), "prod", Check.ENVIRONMENT),
    ((P, "purpose", "version"), "v2.1.1", Check.VERSION),
    ((P, "purpose", "version"), "", Check.VERSION),
    ((P, "purpose", "stage"), 25, Check.STAGE),
    ((P, "policy", "name"), "hotfix", Check.PURPOSE),
    ((P, "policy", "name"), "mine", Check.PURPOSE),
    ((P, "policy", "digest"), "b" * 64, Check.POLICY),
    (("subject", 6, "name"), " ", Check.STATEMENT),
    ((P, "verifier", "id"), "https://elsewhere.test", Check.STATEMENT),
    ((P, "verdict"), "NO_GO", Check.VERDICT),
    ((P, "gates"), [], Check.GATES),
    ((*GATE, "state"), "INCONCLUSIVE", Check.GATES),
    ((*GATE, "required"), False, Check.GATES),
    ((*GATE, "passed"), 0, Check.GATES),
    ((*GATE, "declared"), 1, Check.GATES),
    ((*GATE, "planned"), 2, Check.GATES),
    ((P, "counts", "planned"), 2, Check.COUNTS),
    ((P, "counts", "passed"), 0, Check.COUNTS),
    ((P, "counts", "not_run"), 1, Check.COUNTS),
    ((P, "counts"), {}, Check.COUNTS),
    ((P, "issuedAt"), "2026-11-24T10:01:01Z", Check.EARLY),
    ((P, "expiresAt"), "2026-11-24T10:00:00Z", Check.EXPIRED),
    ((P, "waivers"), [WAIVED], Check.WAIVER),
]


@pytest.mark.parametrize(("path", "value", "check"), SIGNED, ids=lambda value: "" if isinstance(value, Check) else None)
def test_what_was_signed_is_held_against_what_lies_here(
    stand: Stand, path: tuple[Any, ...], value: Any, check: Check
) -> None:
    assert stand.refusal(stand.sealed(changed(stand.statement(), path, put(value)))) is check


def test_no_subject_may_be_missing_or_too_many(stand: Stand) -> None:
    tree = stand.statement()
    checks = [Check.COMMIT, Check.TREE, Check.IMAGE, Check.MODELS, Check.SBOM, Check.LOCK, Check.MIGRATIONS]
    for place, check in enumerate(checks):
        assert stand.refusal(stand.sealed(changed(tree, ("subject", place), remove))) is check
        twice = stand.statement()
        twice["subject"].append(twice["subject"][place])
        assert stand.refusal(stand.sealed(twice)) is check


ASKED = [
    (Wanted(environment="prod", version="v2.1.0", stage=5), Check.ENVIRONMENT),
    (Wanted(environment="dev", version="v2.1.1", stage=5), Check.VERSION),
    (Wanted(environment="dev", version="v2.1.0"), Check.STAGE),
    (Wanted(environment="dev", version="v2.1.0", stage=25), Check.STAGE),
]


@pytest.mark.parametrize(("wanted", "check"), ASKED)
def test_it_is_for_one_purpose(stand: Stand, wanted: Wanted, check: Check) -> None:
    assert stand.refusal(stand.data, wanted=wanted) is check


def test_a_verdict_for_all_stages_is_for_each(stand: Stand) -> None:
    everywhere = stand.sealed(changed(stand.statement(), (P, "purpose", "stage"), put(None)))
    for stage in (None, 1.0, 100.0):
        assert stand.check(everywhere, wanted=Wanted(environment="dev", stage=stage)).stage is None


TIMES = [
    (-timedelta(seconds=61), Check.EARLY),
    (-timedelta(seconds=60), None),
    (timedelta(hours=24, seconds=-1), None),
    (timedelta(hours=24), Check.EXPIRED),
    (timedelta(days=4000), Check.EXPIRED),
]


@pytest.mark.parametrize(("by", "check"), TIMES)
def test_it_is_valid_for_a_day(stand: Stand, by: timedelta, check: Check | None) -> None:
    for hours in (-12, 0, 14):
        now = (AT + by).astimezone(timezone(timedelta(hours=hours)))
        if check is None:
            assert stand.check(stand.data, now=now)
        else:
            assert stand.refusal(stand.data, now=now) is check


def test_a_waiver_counts_through_its_last_day(stand: Stand) -> None:
    for days, check in ((0, None), (-1, Check.WAIVER)):
        day = f"{AT + timedelta(days=days):%Y-%m-%d}"
        data = stand.sealed(changed(stand.statement(), (P, "waivers"), put([{**WAIVED, "expires": day}])))
        if check is None:
            assert stand.check(data)
        else:
            assert stand.refusal(data) is check


def test_what_a_finding_says_of_who_answers_for_it_is_attested() -> None:
    day = date(2026, 12, 1)
    waiver = Waiver("PYSEC-1", "p", "*", "until the fix is out", "Kim until lunch", day, "w.toml", 1)
    told = [f"p: {waiver.told()}", f"q has no version; {Allowance(name='q', reason='ours', expires=day).told()}"]
    told += ["r: allowed until 2026-13-99", "s: is bad"]
    findings = tuple(Finding("osv", "X", text, "f", 1, blocks=False) for text in told)
    result = ItemResult("t.py::t", Outcome.PASSED, findings=findings)
    verdict = decide(Requirements(Purpose.RELEASE, ("unit",), "d"), house.PLAN, Evidence(results=(result,)))
    assert [(one.gate, one.finding, one.owner, one.expires) for one in derived(verdict)["waivers"]] == [
        ("unit", f"osv X: {told[0]}", "Kim until lunch", day),
        ("unit", f"osv X: {told[1]}", "", day),
    ]


def write(name: str, text: str) -> Callable[[Path], object]:
    return lambda root: (root / name).write_text(text, encoding="utf-8")


def commit(name: str, text: str) -> Callable[[Path], object]:
    def change(root: Path) -> None:
        write(name, text)(root)
        git(root, "add", name)
        git(root, "commit", "-q", "-m", "change")

    return change


def replace_tree(root: Path) -> None:
    """Other files that git takes for those of the commit, by a ref that a fetch of all refs brings."""
    tree = git(root, "ls-tree", "HEAD")
    mine = git(root, "hash-object", "-w", "--stdin", stdin="evil = 1")
    other = git(root, "mktree", stdin=tree.replace(git(root, "rev-parse", "HEAD:one.py"), mine) + "\n")
    git(root, "replace", git(root, "rev-parse", "HEAD^{tree}"), other)
    git(root, "checkout", "-q", "HEAD", "--", "one.py")
    assert "evil" in (root / "one.py").read_text()
    assert "one.py" not in git(root, "status", "--porcelain")


HERE: dict[str, tuple[Callable[[Path], object], Check, str]] = {
    "a later commit": (commit("new.txt", "x"), Check.COMMIT, " here, "),
    "a reworded commit": (lambda root: git(root, "commit", "-q", "--amend", "-m", "x"), Check.COMMIT, " here, "),
    "a new file": (write("new.py", "x"), Check.TREE, "untracked new.py"),
    "a changed file": (write("one.py", "x"), Check.TREE, "changed one.py"),
    "a file where git does not look": (
        lambda root: git(root, "update-index", "--assume-unchanged", "one.py"),
        Check.TREE,
        "changed one.py",
    ),
    "files of another commit under this one's name": (replace_tree, Check.TREE, "changed one.py"),
    "another model": (write("model/w.bin", "other"), Check.MODELS, " here, "),
    "more of a model": (write("model/more.bin", "x"), Check.MODELS, " here, "),
    "no model": (lambda root: (root / "model" / "w.bin").unlink(), Check.MODELS, "holds no file"),
}


@pytest.mark.parametrize(("change", "check", "text"), HERE.values(), ids=HERE)
def test_what_lies_here_has_to_be_what_was_attested(
    tmp_path: Path, stand: Stand, change: Callable[[Path], object], check: Check, text: str
) -> None:
    root = copied(stand, tmp_path)
    change(root)
    with pytest.raises(Refused, match=text) as caught:
        verify(root, root / stand.path.name, Wanted(environment="dev", stage=5), AT, policies_of(root))
    assert caught.value.check is check


def copied(stand: Stand, folder: Path) -> Path:
    return house.copy_of(stand.root, folder / "copy")


@pytest.mark.parametrize("name", ["sbom", "image"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/zero")
    for path in ("pipe", "link", "."):
        read = subjects(tmp_path, convert({name: path}, Attestation, ""), Worktree())[Check[name.upper()]]
        with pytest.raises(SettingsError, match="is no file"):
            read()


def test_no_file_of_a_commit_breaks_off_a_verification(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--template=")
    (tmp_path / "alembic.ini").touch()
    (tmp_path / "one.py").write_text(f"revision = {'-' * 100_000}1\ndown_revision = None\n", encoding="utf-8")
    git(tmp_path, "add", ".")
    with pytest.raises(NoEvidence, match=r"one\.py can not be read as a revision: "):
        revisions_of(tmp_path)


def test_the_policy_and_the_release_have_to_be_those_of_here(
    tmp_path: Path, stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = copied(stand, tmp_path)
    path = root / stand.path.name
    assert verify(root, path, WANTED, AT, policies_of(root)).version == "v2.1.0"
    monkeypatch.setenv("ARTISAN_BASE_URL", "https://elsewhere.test")
    with pytest.raises(Refused) as caught:
        verify(root, path, WANTED, AT, policies_of(root))
    assert caught.value.check is Check.POLICY
    monkeypatch.delenv("ARTISAN_BASE_URL")
    git(root, "tag", "-d", "v2.1.0")
    with pytest.raises(Refused, match=r"v2\.1\.0 is no release here") as caught:
        verify(root, path, WANTED, AT, policies_of(root))
    assert caught.value.check is Check.VERSION


def test_no_commit_adds_a_key_for_itself(tmp_path: Path, stand: Stand) -> None:
    root = copied(stand, tmp_path)
    git(root, "switch", "-q", "-c", "feature/mine")
    (root / house.PUBLIC).write_bytes(stand.other.public.read_bytes())
    git(root, "commit", "-q", "-a", "-m", "trust me")
    mine = house.sign(root, stand.other)
    with pytest.raises(Refused, match="whose signature does not count") as caught:
        verify(root, mine, DEV, AT, policies_of(root))
    assert caught.value.check is Check.SIGNATURE
    # A host that was given the key by hand trusts that one, and no other.
    assert verify(root, mine, DEV, AT, policies_of(root), [stand.other.public])
    with pytest.raises(Refused):
        verify(root, mine, DEV, AT, policies_of(root), [stand.keys.public])


def test_without_sigstore_no_keyless_signature_counts(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    who = Identity("https://ci.test/release.yml@refs/heads/main", "https://ci.test")
    envelope = json.loads(stand.data)
    envelope["signatures"] = [{"keyid": who.keyid, "sig": "AA==", "bundle": {}}]
    monkeypatch.setitem(sys.modules, "sigstore.models", None)
    with pytest.raises(SettingsError, match="sigstore is not installed; pip install"):
        opened(json.dumps(envelope, separators=(",", ":")).encode() + b"\n", [who])


def test_a_clone_trusts_the_main_of_its_origin(tmp_path: Path, stand: Stand) -> None:
    git(tmp_path, "clone", "-q", str(stand.root), "clone")
    root = house.copy_of(stand.root / "model", tmp_path / "clone" / "model").parent
    (root / house.PUBLIC).write_bytes(stand.other.public.read_bytes())
    git(root, "commit", "-q", "-a", "-m", "trust me, on a main that nobody reviewed")
    mine = house.sign(root, stand.other)
    with pytest.raises(Refused, match="whose signature does not count"):
        verify(root, mine, DEV, AT, policies_of(root))


NO_KEYS = [
    ("", "names no keys"),
    ('keys = ["nowhere.pem"]', "nowhere.pem: no public key"),
    ('keys = ["pyproject.toml"]', "pyproject.toml: no public key"),
    ("keys = 3", "attestation keys: expected array"),
]


@pytest.mark.parametrize(("table", "text"), NO_KEYS)
def test_without_keys_nothing_is_trusted(tmp_path: Path, stand: Stand, table: str, text: str) -> None:
    root = tmp_path / "shop"
    repository(root)
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(f"[tool.artisan.attestation]\n{table}\n")
    git(root, "commit", "-q", "-a", "-m", "keys")
    with pytest.raises(SettingsError, match=text):
        verify(root, stand.path, WANTED, AT, policies_of(root))


def test_a_hotfix_has_to_meet_the_policy_of_main(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keys, root = house.make_keys(tmp_path), tmp_path / "shop"
    repository(root)
    house.trust(root, keys)
    git(root, "switch", "-q", "-c", "hotfix/x")
    house.sign(root, keys, policy="hotfix")
    monkeypatch.chdir(root)
    assert main(["verify", "verdict.intoto.json", "--env=dev"], clock=lambda: AT) == 0
    assert " as a hotfix to dev, until 2026-11-25 10:00 UTC, " in capsys.readouterr().out
    with (root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write('\n[tool.artisan.policies.hotfix]\nrequired = ["unit", "security", "smoke"]\n')
    git(root, "commit", "-q", "-a", "-m", "ask less")
    by_its_own = replace(
        house.verdict_of(root, policy="hotfix"), policy_digest=load_policy(root, None, "dev", "hotfix").digest
    )
    with pytest.raises(Refused) as caught:
        verify(root, house.sign(root, keys, policy="hotfix", verdict=by_its_own), DEV, AT, policies_of(root))
    assert caught.value.check is Check.POLICY


def test_a_no_go_is_attested_and_never_deployed(tmp_path: Path) -> None:
    keys, root = house.make_keys(tmp_path), tmp_path / "shop"
    repository(root)
    house.trust(root, keys)
    found = house.verdict_of(root, evidence=Evidence(stopped="Ctrl-C"))
    path = house.sign(root, keys, verdict=found)
    said = parsed(base64.b64decode(json.loads(path.read_bytes())["payload"])).predicate
    assert (said.verdict, said.gates[0].reasons) == ("NO_GO", ("did not run: Ctrl-C",))
    with pytest.raises(Refused, match="the verdict is NO-GO: unit: did not run: Ctrl-C") as caught:
        verify(root, path, DEV, AT, policies_of(root))
    assert caught.value.check is Check.VERDICT


def test_every_check_has_a_status_of_its_own_that_nothing_else_has() -> None:
    assert len(set(Check)) == len(Check.__members__)
    assert not {0, 1, 2, 3, 4, 130} & {int(check) for check in Check}
