"""The envelope (DSSE): a payload, its type, and one signature over both, in just one way of writing it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_artisan.release.attestation.attested import Check, Refused
from pytest_artisan.release.attestation.keys import Trusted
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    keyid: str
    sig: bytes
    bundle: dict[str, Any] | None = None


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload: bytes
    payload_type: str
    signatures: tuple[_Signature]


def _line(envelope: _Envelope) -> bytes:
    return msgspec.json.encode(envelope) + b"\n"


def pre_authentication(payload: bytes) -> bytes:
    """What is signed (DSSE, PAEv1)."""
    return b"DSSEv1 %d %b %d %b" % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode(), len(payload), payload)


def sealed(payload: bytes, signer: Signer) -> str:
    """The envelope with the signer's signature, as a file has it. Raises NoEvidence where there is none."""
    from securesystemslib.dsse import Envelope

    try:
        found = Envelope(payload, PAYLOAD_TYPE, {}).sign(signer)
        bundle = found.unrecognized_fields.get("bundle")
        # sigstore's is in base64, a key's in hex.
        raw = bytes.fromhex(found.signature) if bundle is None else base64.b64decode(found.signature)
    except Exception as error:  # noqa: BLE001 - signing may need a network, which fails in many ways
        raise NoEvidence(f"it could not be signed: {error}") from None
    return _line(_Envelope(payload, PAYLOAD_TYPE, (_Signature(found.keyid, raw, bundle),))).decode()


def opened(data: bytes, trusted: Iterable[Trusted]) -> bytes:
    """The payload, which one of the trusted has signed; raises Refused."""
    envelope = _read(data)
    [signature] = envelope.signatures
    for one in trusted:
        if one.keyid == signature.keyid:
            one.check(signature.sig, signature.bundle, pre_authentication(envelope.payload))
            return envelope.payload
    raise Refused(f"signed by {signature.keyid[:12] or 'nobody'}, whose signature does not count", Check.SIGNATURE)


def payload_digest(path: Path) -> str:
    """SHA-256 of the payload in an envelope, whoever signed it; raises SettingsError."""
    try:
        return hashlib.sha256(_read(envelope_at(path)).payload).hexdigest()
    except Refused as error:
        raise SettingsError(f"{path}: {error}") from None


def envelope_at(path: Path) -> bytes:
    """The file's bytes; raises SettingsError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None


def _read(data: bytes) -> _Envelope:
    """An envelope that is written in another way than `sealed` does is none: no byte of the file is free to change."""
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"no envelope (DSSE): {error}", Check.ENVELOPE) from None
    if _line(envelope) != data or envelope.payload_type != PAYLOAD_TYPE:
        raise Refused(f"no envelope of {PAYLOAD_TYPE} as it was written", Check.ENVELOPE)
    return envelope
