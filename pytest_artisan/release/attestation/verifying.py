"""Whether a signed verdict lets something be deployed: every check asks what lies here, and nothing asks the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pytest_artisan.git import told
from pytest_artisan.release.attestation.attested import POLICIES, Attested, Check, DigestOf, Refused, Wanted
from pytest_artisan.release.attestation.envelope import envelope_at, opened
from pytest_artisan.release.attestation.keys import trusted
from pytest_artisan.release.attestation.settings import table_here
from pytest_artisan.release.attestation.statement import Predicate, Statement, Subject, parsed
from pytest_artisan.release.attestation.subjects import subjects
from pytest_artisan.release.worktree import Worktree, worktree
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence, Outcome

# By so much another machine's clock may be ahead.
_AHEAD = timedelta(minutes=1)
_ENDS = (*(outcome.value for outcome in Outcome), "deselected", "not_run")
_COUNTS = {"planned", *_ENDS, "declared", "modules_skipped"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What lies here: subjects by their check, or why one can not be read, the policy's digest and the version's commit.

    `untidy` says what differs from the commit; `released` is empty where no version was asked for.
    """

    subjects: Mapping[Check, Subject | str | None]
    untidy: str
    policy: str
    released: str


def verify(
    root: Path, path: Path, wanted: Wanted, now: datetime, digest_of: DigestOf, keys: Sequence[Path] = ()
) -> Attested:
    """Check the envelope at `path` for the project at `root`.

    It has to be by the policy of the digest that `digest_of` gives, and signed by a key of these files, else by one that
    main names. Raises Refused, SettingsError and NoEvidence.
    """
    data = envelope_at(path)
    try:
        payload = opened(data, trusted(root, keys))
        statement = parsed(payload)
        facts = facts_of(root, wanted, digest_of, statement.predicate.policy.name, path)
        return examined(payload, statement, facts, wanted, now)
    except Refused as error:
        raise Refused(f"{path}: {error}", error.check) from None


def facts_of(root: Path, wanted: Wanted, digest_of: DigestOf, policy: str, verdict: Path) -> Facts:
    """Of the project at `root`. Raises SettingsError and NoEvidence."""
    tree = worktree(root)
    found: dict[Check, Subject | str | None] = {}
    for check, read in subjects(root, table_here(root), tree).items():
        try:
            found[check] = read()
        except (SettingsError, NoEvidence) as error:
            found[check] = str(error)
    digest = digest_of(wanted.environment, policy) if policy in POLICIES else ""
    return Facts(found, _untidy(root, tree, verdict), digest, _released(root, wanted.version))


def _untidy(root: Path, tree: Worktree, verdict: Path) -> str:
    """What of the files is not of the commit; the verdict itself is not to be deployed."""
    if not tree.untracked:
        return tree.told
    top, own = Path(told(root, "--show-toplevel")).resolve(), verdict.resolve()
    return replace(tree, untracked=tuple(name for name in tree.untracked if top / name != own)).told


def _released(root: Path, version: str) -> str:
    """The commit of a release, empty where nobody asks; what it says where there is none."""
    if not version:
        return ""
    from pytest_artisan.release.tags import releases

    release = next((one for one in releases(root) if one.version == version), None)
    return "no release" if release is None else release.fault or release.commit


def examined(payload: bytes, statement: Statement, facts: Facts, wanted: Wanted, now: datetime) -> Attested:
    """What the statement says, where it lets `wanted` be deployed; raises Refused for the first check that it fails."""
    for check, text in _complaints(statement, facts, wanted, now):
        raise Refused(text, check)
    said = statement.predicate
    commit = next(one.digest["gitCommit"] for one in statement.subject if one.name == "commit")
    return Attested(
        digest=hashlib.sha256(payload).hexdigest(),
        nonce=said.nonce,
        commit=commit,
        kind=said.purpose.kind,
        environment=said.purpose.environment,
        version=said.purpose.version,
        stage=said.purpose.stage,
        expires=said.expires_at,
        previous=said.previous,
    )


def _complaints(statement: Statement, facts: Facts, wanted: Wanted, now: datetime) -> Iterator[tuple[Check, str]]:
    said = statement.predicate
    yield from _subject_complaints(statement, facts)
    # Before the policy, which is another one in another environment.
    yield from _purpose_complaints(said, statement, facts, wanted)
    if said.policy.digest != facts.policy:
        policy = f"the policy {said.policy.name}".rstrip()
        yield (
            Check.POLICY,
            f"it is by {policy} sha256:{said.policy.digest[:12]}, that is {facts.policy[:12] or 'none'} here",
        )
    if said.verdict != "GO":
        yield Check.VERDICT, f"the verdict is NO-GO: {next(_reasons(said), 'no reason is told')}"
    yield from _gate_complaints(said)
    yield from _time_complaints(said, now)


def _subject_complaints(statement: Statement, facts: Facts) -> Iterator[tuple[Check, str]]:
    """Just what is here, and all of it."""
    left = list(statement.subject)
    for check, here in facts.subjects.items():
        if isinstance(here, str):
            yield check, here
        elif here is not None and here in left:
            left.remove(here)
        elif here is not None:
            there = next(
                (f"{_short(one)} in the verdict" for one in left if one.name.split()[0] == here.name.split()[0]), ""
            )
            yield check, f"{here.name}: {_short(here)} here, {there or 'and the verdict has none'}"
        if check is Check.TREE and facts.untidy:
            yield check, f"the files here are not just those of the commit: {facts.untidy}; commit or ignore them"
    for one in left:
        check = Check.__members__.get(one.name.split()[0].upper(), Check.STATEMENT)
        yield check, f"{one.name}: {_short(one)} in the verdict, and none here"


def _short(subject: Subject) -> str:
    return f"{next(iter(subject.digest.values()), 'no digest')[:12]}"


def _reasons(said: Predicate) -> Iterator[str]:
    yield from said.reasons
    yield from (f"{gate.name}: {reason}" for gate in said.gates for reason in gate.reasons)


def _gate_complaints(said: Predicate) -> Iterator[tuple[Check, str]]:
    """Whether all that was required was shown, and the numbers are those of one session."""
    required = [gate for gate in said.gates if gate.required]
    if not required:
        yield Check.GATES, "no gate was required, so nothing was shown"
    for gate in required:
        if gate.state != "GO" or not 0 < gate.planned == gate.passed + gate.declared:
            shown = f"{gate.passed} of {gate.planned} passed, {gate.declared} declared"
            yield Check.GATES, f"the gate {gate.name} is {gate.state}, with {shown}"
    counts = said.counts
    if counts.keys() != _COUNTS:
        yield Check.COUNTS, f"its counts are of {', '.join(sorted(counts)) or 'nothing'}"
        return
    ended, gates = sum(counts[end] for end in _ENDS), sum(gate.planned for gate in said.gates)
    if not counts["planned"] == ended == gates:
        yield Check.COUNTS, f"{counts['planned']} items were planned, {gates} in its gates, and {ended} ended"


def _purpose_complaints(
    said: Predicate, statement: Statement, facts: Facts, wanted: Wanted
) -> Iterator[tuple[Check, str]]:
    purpose = said.purpose
    if POLICIES.get(said.policy.name) != purpose.kind:
        yield Check.PURPOSE, f"it is for a {purpose.kind}, by the policy {said.policy.name or 'main'}"
    if purpose.environment != wanted.environment:
        yield Check.ENVIRONMENT, f"it is for {purpose.environment}, not for {wanted.environment}"
    if wanted.version:
        # A hotfix has its version, by the minute, only after its verdict.
        named = purpose.version or (wanted.version if purpose.kind == "hotfix" else "none")
        if named != wanted.version:
            yield Check.VERSION, f"it is for the version {named}, not for {wanted.version}"
        if not any(one.digest.get("gitCommit") == facts.released for one in statement.subject):
            yield Check.VERSION, f"{wanted.version} is {facts.released} here, which it is not about"
    if purpose.stage not in (None, wanted.stage):
        asked = "all stages" if wanted.stage is None else f"{wanted.stage:g} %"
        yield Check.STAGE, f"it is for the stage {purpose.stage:g} %, not for {asked}"


def _time_complaints(said: Predicate, now: datetime) -> Iterator[tuple[Check, str]]:
    if said.issued_at > now + _AHEAD:
        yield Check.EARLY, f"it was issued at {_at(said.issued_at)}, and now is {_at(now)}"
    if not said.issued_at < said.expires_at or now >= said.expires_at:
        yield Check.EXPIRED, f"it was valid until {_at(said.expires_at)}, and now is {_at(now)}"
    today = now.astimezone(UTC).date()
    for waived in said.waivers:
        if waived.expires < today:
            until = f"{waived.owner or 'somebody'} answers for it until {waived.expires}"
            yield Check.WAIVER, f"{waived.gate}: {waived.finding}: {until}"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
