"""Releases as git keeps them: annotated tags whose message alone holds all that is on record."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pytest_artisan.git import done
from pytest_artisan.release.versions import check_version, newest_first
from pytest_artisan.settings import SettingsError

# Listing tags reads all their messages: of a model of more files, the digest alone is kept.
MANIFEST_FILES = 1000
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_NO_MODEL = "none"


@dataclass(frozen=True, slots=True)
class Release:
    """One release. Digests are SHA-256 in hex; `model` and all of it are empty where the release has no model.

    `fault` says why a tag that is named like a release holds no sound record; then only `version`, `at` and `commit`
    are filled, and `commit` is empty where the tag leads to none. `manifest` is empty too where it was too long to keep.
    """

    version: str
    commit: str
    at: datetime
    by: str = ""
    notes: str = ""
    model: str = ""
    model_digest: str = ""
    model_files: int = 0
    manifest: str = ""
    no_model: str = ""
    verdict_digest: str = ""
    policy_digest: str = ""
    override: str = ""
    fault: str = ""


# The trailer of each field, in the message's order.
_TRAILERS = {
    "version": "Artisan-Release",
    "commit": "Release-Commit",
    "model": "Model-Snapshot",
    "model_digest": "Model-Digest",
    "model_files": "Model-Files",
    "no_model": "No-Model",
    "verdict_digest": "Verdict-Digest",
    "policy_digest": "Policy-Digest",
    "at": "Released-At",
    "by": "Released-By",
    "override": "Override",
}
_FIELDS = {trailer: name for name, trailer in _TRAILERS.items()}
_DIGESTS = ("model_digest", "verdict_digest", "policy_digest")
_FORGED = re.compile(rf"^\s*({'|'.join(_FIELDS)})\s*:", re.IGNORECASE | re.MULTILINE)
# In for-each-ref's words; a message can not hold the zero bytes between them.
_ASKED = ("refname:strip=2", "objecttype", "objectname", "*objecttype", "*objectname", "creatordate:unix", "tag")
_FORMAT = "%00".join(f"%({atom})" for atom in (*_ASKED, "taggername", "taggeremail", "contents")) + "%00"


def releases(root: Path) -> list[Release]:
    """Every release of the repository at `root`, the newest first, by one question to git. Raises NoEvidence.

    Semantic versions are in the order of their precedence, a hotfix stands by its time. A tag that is named like a
    release and can not be read as one is there too, with its `fault`.
    """
    patterns = ("refs/tags/v[0-9]*", "refs/tags/hotfix-[0-9]*")
    told = done(root, "for-each-ref", f"--format={_FORMAT}", *patterns).stdout
    return newest_first(_release(*entry.split("\0")) for entry in told.split("\0\n")[:-1])


def model_id(digest: str, at: datetime) -> str:
    """The name of a model's snapshot of the day (UTC)."""
    return f"model-{at:%Y%m%d}-{digest[:8]}"


def write(root: Path, release: Release) -> str:
    """Make the tag's object, which nothing names yet, and return its id: the same for the same release.

    Raises NoEvidence, and SettingsError for a text that the message can not hold.
    """
    head = f"object {release.commit}\ntype commit\ntag {release.version}\n"
    tagger = f"tagger {_tagger(release.by)} {int(release.at.timestamp())} +0000\n\n"
    return done(root, "mktag", stdin=head + tagger + message(release)).stdout.strip()


def message(release: Release) -> str:
    """The message of a release's tag: version, notes, the model's files and trailers, apart by blank lines.

    Raises SettingsError for a text that would not be read back as it is.
    """
    check_text("the notes", release.notes, also="\n\t")
    if forged := _FORGED.search(release.notes):
        raise SettingsError(f"the notes: a line begins with {forged[1]}:, which is a fact of the record")
    trailers = []
    for name, trailer in _TRAILERS.items():
        value = getattr(release, name)
        if name == "model":
            value = value or _NO_MODEL
        elif name == "at":
            value = value.strftime(_TIME)
        elif value and name in _DIGESTS:
            value = f"sha256:{value}"
        if value:
            check_text(trailer, str(value))
            trailers.append(f"{trailer}: {value}")
    paragraphs = [release.version, release.notes, release.manifest.rstrip("\n"), "\n".join(trailers)]
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def check_text(what: str, text: str, also: str = "") -> None:
    """Raises SettingsError for a text that is empty, padded, or holds control characters other than `also`."""
    if not text or text != text.strip():
        raise SettingsError(f"{what}: empty, or begins or ends with blanks")
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in also:
            raise SettingsError(f"{what}: holds the character {character!r}, which no line of a record can")


def _tagger(by: str) -> str:
    # git wants a name, be it an empty one, a blank and an address.
    return f" {by}" if by.startswith("<") else by if "<" in by else f"{by} <>"


def _release(
    name: str, kind: str, oid: str, to: str, target: str, seconds: str, tag: str, tagger: str, mail: str, text: str
) -> Release:
    """What a tag says; all that it says of itself has to agree."""
    commit = oid if kind == "commit" else target if to == "commit" else ""
    plain = Release(name, commit, _moment(seconds))
    try:
        check_version(name)
        if kind != "tag":
            raise SettingsError("not annotated, so it holds no record")
        found = _read(text)
        told = [("version", found.version, name), ("version", tag, name), ("commit", found.commit, commit)]
        told += [("time", str(found.at), str(plain.at)), ("tagger", _tagger(found.by), f"{tagger} {mail}")]
        for what, recorded, real in told:
            if recorded != real:
                raise SettingsError(f"its record says {what} {recorded}, and the tag says {real}")
    except SettingsError as error:
        return replace(plain, fault=str(error))
    return found


def _moment(seconds: str) -> datetime:
    """A time of git's, which may be none, or beyond all calendars."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _read(text: str) -> Release:
    """The release that a message tells of; raises SettingsError for a message that `message` did not make."""
    body, _, block = text.removesuffix("\n").rpartition("\n\n")
    told = dict(line.partition(": ")[::2] for line in block.split("\n"))
    values = {_FIELDS[trailer]: value for trailer, value in told.items() if trailer in _FIELDS}
    if not {"version", "commit"} <= values.keys():
        raise SettingsError("its message ends with no record of a release")
    for name in _DIGESTS:
        values[name] = values.get(name, "").removeprefix("sha256:")
    model = values.pop("model", "").removesuffix(_NO_MODEL)
    try:
        at = datetime.strptime(values.pop("at", ""), _TIME).replace(tzinfo=UTC)
    except ValueError:
        raise SettingsError(f"its record has no time of the form {_TIME}") from None
    files = values.pop("model_files", "0")
    count = int(files) if files.isdecimal() and len(files) < 10 else 0
    notes, manifest = body, ""
    if 0 < count <= MANIFEST_FILES:
        notes, _, manifest = body.rpartition("\n\n")
        manifest += "\n"
    notes = notes.removeprefix(f"{values['version']}\n\n")
    release = Release(**values, at=at, model=model, model_files=count, manifest=manifest, notes=notes)
    named = release.model_digest and model_id(release.model_digest, at)
    found = manifest.count("\n"), hashlib.sha256(manifest.encode()).hexdigest()
    if message(release) != text or model != named or (manifest and found != (2 * count, release.model_digest)):
        raise SettingsError("its record is damaged, or was changed by hand")
    return release
