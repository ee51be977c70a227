"""Whether a release may be made, and its making: tag and record in one step, at the remote first."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_artisan.git import at_remote, done, shown, to_its_end, told
from pytest_artisan.release.checklists import doubt
from pytest_artisan.release.checkpoints import Snapshot, snapshot
from pytest_artisan.release.record import who
from pytest_artisan.release.tags import MANIFEST_FILES, Release, message, model_id, releases, write
from pytest_artisan.release.versions import check_version, semantic
from pytest_artisan.release.worktree import Worktree, worktree
from pytest_artisan.reports.machine import Document
from pytest_artisan.settings import SettingsError, parse_json
from pytest_artisan.verdict.decide import Purpose
from pytest_artisan.verdict.evidence import NoEvidence


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody wants to release: HEAD, under this name. `remote` is None for a tag that stays here."""

    version: str
    notes: str
    verdict: Path | None = None
    checkpoints: Path | None = None
    no_model: str = ""
    override: str = ""
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The release that an order comes to, and a line for all that speaks against it; `remarks` are to be told anyway."""

    release: Release
    refusals: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Move:
    """A branch, by its full name, that moves with a release from one commit to a later one."""

    ref: str
    before: str
    after: str


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """While no other process makes a release in this repository; a lock that ends with its process. Raises NoEvidence."""
    path = root / told(root, "--git-common-dir") / "artisan-release.lock"
    try:
        file = path.open("w")
    except OSError as error:
        raise NoEvidence(f"{path}: {error.strerror}") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def rule(root: Path, order: Order, policy: str, digest_of: Callable[[str], str], now: datetime) -> Ruling:
    """Judge an order by the repository at `root`; to be asked, and answered by `make`, while `alone`.

    The verdict has to be by the policy of this name ("" is the main one), and of the digest that `digest_of` gives for
    the verdict's environment. Raises SettingsError for what can not be read or recorded, and NoEvidence.
    """
    check_version(order.version)
    tree = worktree(root)
    found, lacks = _model(order)
    judged, verdict_digest = _document(order)
    doubts = _doubts(judged, tree.commit, policy, digest_of)
    release = _release(order, tree.commit, found, now.astimezone(UTC).replace(microsecond=0), who(root))
    if judged:
        release = replace(release, verdict_digest=verdict_digest, policy_digest=judged.verdict.policy_digest)
    if doubts:
        # Where there are none, nobody is to read that there were.
        release = replace(release, override=order.override)
    message(release)
    known = releases(root)
    refusals = [*_taken(root, order, known), *_untidy(root, order, tree), *lacks]
    remarks = _place(order.version, known)
    if order.override:
        return Ruling(release, tuple(refusals), (*remarks, *(f"overridden: {doubt}" for doubt in doubts)))
    return Ruling(release, (*refusals, *doubts), tuple(remarks))


def make(root: Path, release: Release, remote: str | None, move: Move | None = None) -> None:
    """Make the release that a ruling without refusals found: at the remote, where one is named, and then here.

    Whatever fails or ends it in between leaves no tag that only one side has, but for one that the remote has taken;
    that one is whole, the branch of `move` has moved with it, and an error says so. Raises NoEvidence.
    """
    oid, ref = write(root, release), f"refs/tags/{release.version}"
    if remote is not None:
        options, refs = ["--atomic", "--porcelain", "--no-follow-tags"], [f"{oid}:{ref}"]
        if move is not None:
            # The remote is to take this step alone, and nothing else that was never pushed.
            options.append(f"--force-with-lease={move.ref}:{move.before}")
            refs.append(f"{move.after}:{move.ref}")
        said = at_remote(root, "push", *options, "--", remote, *refs)
        if not said.startswith("*") and "\n*" not in said:
            raise NoEvidence(f"{release.version} was made at {shown(remote)} by somebody else just now")
    moved = f"update {move.ref} {move.after} {move.before}\n" if move is not None else ""
    with to_its_end():
        try:
            done(root, "update-ref", "--stdin", stdin=f"create {ref} {oid}\n{moved}")
        except NoEvidence as error:
            if remote is None:
                raise
            there, also = shown(remote), f" {move.ref}:{move.ref}" if move is not None else ""
            fetch = f"git fetch {there} tag {release.version}{also}"
            raise NoEvidence(f"{release.version} is released at {there}, and not here ({fetch}): {error}") from None


def _release(order: Order, commit: str, model: Snapshot | None, at: datetime, by: str) -> Release:
    release = Release(order.version, commit, at, by, order.notes.strip(), no_model=order.no_model)
    if model is None:
        return release
    files = len(model.files)
    return replace(
        release,
        model=model_id(model.digest, at),
        model_digest=model.digest,
        model_files=files,
        manifest=model.manifest if files <= MANIFEST_FILES else "",
    )


def _model(order: Order) -> tuple[Snapshot | None, list[str]]:
    """The order's model, and what is wrong with it."""
    if (order.checkpoints is None) == (not order.no_model):
        return None, ["it needs either a folder of checkpoints or the reason why it has no model"]
    try:
        return (snapshot(order.checkpoints) if order.checkpoints else None), []
    except SettingsError as error:
        return None, [str(error)]


def _document(order: Order) -> tuple[Document | None, str]:
    """The verdict's report with the digest of its bytes."""
    if order.verdict is None:
        return None, ""
    try:
        data = order.verdict.read_bytes()
    except OSError as error:
        raise SettingsError(f"{order.verdict}: {error.strerror}") from None
    document: Document = parse_json(data, Document, f"{order.verdict}: no JSON report")
    return document, hashlib.sha256(data).hexdigest()


def _doubts(judged: Document | None, commit: str, policy: str, digest_of: Callable[[str], str]) -> list[str]:
    """Why this verdict does not let this commit be released."""
    if judged is None:
        return ["no verdict is given, so nothing shows that this commit may be released"]
    verdict, doubts = judged.verdict, list[str]()
    if verdict.line != "GO":
        doubts.append(f"the verdict is {verdict.line}")
    elif why := doubt(judged):
        doubts.append(f"the verdict proves nothing: {why}")
    if verdict.purpose is not Purpose.RELEASE:
        doubts.append(f"the verdict is for a {verdict.purpose} run, not for a release")
    if verdict.commit != commit:
        doubts.append(f"the verdict is of commit {verdict.commit or 'unknown'}, and HEAD is {commit or 'none'}")
    if verdict.policy != policy:
        doubts.append(f"the verdict is by the policy {verdict.policy or 'main'}, not by the policy {policy or 'main'}")
    digest = digest_of(verdict.environment)
    if verdict.policy_digest != digest:
        wanted = f"that of {verdict.environment} is sha256:{digest[:12]} here"
        cause = "pyproject.toml or a variable ARTISAN_... is not as it was in that session"
        doubts.append(
            f"the verdict is by a policy of digest sha256:{verdict.policy_digest[:12]}, and {wanted}; {cause}"
        )
    return doubts


def _taken(root: Path, order: Order, known: list[Release]) -> Iterator[str]:
    version = order.version
    if any(release.version == version for release in known):
        yield f"{version} exists already; no release is made twice"
    if order.remote is not None:
        try:
            there = at_remote(root, "ls-remote", "--", order.remote, f"refs/tags/{version}")
        except NoEvidence as error:
            yield str(error)
        else:
            if there:
                remote = shown(order.remote)
                yield f"{version} exists already at {remote} (git fetch {remote} tag {version})"


def _untidy(root: Path, order: Order, tree: Worktree) -> Iterator[str]:
    """What on disk is not the commit; the verdict and the model are on record themselves."""
    if not tree.commit:
        yield "the repository has no commit yet"
    top = Path(told(root, "--show-toplevel")).resolve()
    own = [path.resolve() for path in (order.verdict, order.checkpoints) if path is not None]
    others = tuple(path for path in tree.untracked if not any((top / path).is_relative_to(place) for place in own))
    if rest := replace(tree, untracked=others).told:
        yield f"the files here are not just those of the commit: {rest}; commit or ignore them"


def _place(version: str, known: list[Release]) -> list[str]:
    """Whether it is not the newest by precedence, as a release of an older line is not."""
    own = semantic(version)
    newest = next((found for release in known if (found := semantic(release.version)) is not None), None)
    if own is None or newest is None or own > newest:
        return []
    return [
        f"{version} does not come after v{newest}, the newest version here; it is made as a release of an older line"
    ]
