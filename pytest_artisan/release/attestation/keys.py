"""Keys: the one that signs, and those whose signatures count. Ed25519 in PEM, as openssl makes them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pytest_artisan.git import file_at
from pytest_artisan.release.attestation.attested import Check, Refused
from pytest_artisan.release.attestation.keyless import Identity, keyless_signer
from pytest_artisan.release.attestation.settings import Attestation, attestation_of
from pytest_artisan.release.train.branch import artisan_at, main_of
from pytest_artisan.settings import SettingsError

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

VARIABLE = "ARTISAN_SIGNING_KEY"
KEYLESS = "sigstore"
_MAKE = "openssl genpkey -algorithm ed25519 -out signing.pem makes one"
_PEM = re.compile(r"\s*-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----\s*")
# What stands before the 32 bytes of a key of this kind (RFC 8410). A library that reads all kinds takes longer to
# import than the rest of a verification.
_ED25519 = bytes.fromhex("302a300506032b6570032100")


class Trusted(Protocol):
    """Whose signature counts."""

    @property
    def keyid(self) -> str: ...

    def check(self, signature: bytes, bundle: dict[str, Any] | None, signed: bytes) -> None:
        """Raises Refused where this is no signature of its own over `signed`."""
        ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key in DER (SubjectPublicKeyInfo); its id is the SHA-256 of that."""

    der: bytes

    @property
    def keyid(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    def check(self, signature: bytes, bundle: dict[str, Any] | None, signed: bytes) -> None:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.der[len(_ED25519) :]).verify(signature, signed)
        except InvalidSignature:
            raise Refused("the signature is not over this payload; one of both was changed", Check.SIGNATURE) from None
        if bundle is not None:
            raise Refused("a key's signature has no bundle; somebody added it", Check.SIGNATURE)


def public_key(text: str, where: str) -> PublicKey:
    """The key of a PEM file's text; raises SettingsError, which `where` begins."""
    found = _PEM.fullmatch(text)
    try:
        der = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
    except binascii.Error:
        der = b""
    if not der.startswith(_ED25519) or len(der) != len(_ED25519) + 32:
        raise SettingsError(f"{where}: no public key (Ed25519, PEM); openssl pkey -in signing.pem -pubout writes it")
    return PublicKey(der)


def trusted(root: Path, files: Sequence[Path]) -> tuple[Trusted, ...]:
    """The keys of these files, else those that main names: no commit adds a key for itself.

    Raises SettingsError, where there is none too, and NoEvidence.
    """
    if files:
        return tuple(public_key(_read(path), str(path)) for path in files)
    main = main_of(root)
    where = "main: pyproject.toml [tool.artisan]"
    table = attestation_of(artisan_at(root, main), where)
    keys = [public_key(file_at(root, main, name) or "", f"{where} attestation.keys: {name}") for name in table.keys]
    if not keys and not table.keyless:
        raise SettingsError(f"{where} attestation names no keys, so no signature counts; --key FILE names one")
    return (*keys, *(Identity(one.identity, one.issuer) for one in table.keyless))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: {getattr(error, 'strerror', '') or error}") from None


def signer(table: Attestation) -> Signer:
    """Whoever the variable ARTISAN_SIGNING_KEY names: the file of a private key, or `sigstore`. Raises SettingsError."""
    name = os.environ.get(VARIABLE, "")
    if not name:
        raise SettingsError(f"{VARIABLE} names no key to sign with; {_MAKE}")
    if name == KEYLESS:
        return keyless_signer(table)
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner, SSlibKey

    text, where = _private(Path(name)), f"{VARIABLE}={name}"
    try:
        private = serialization.load_pem_private_key(text, password=None)
    except (ValueError, TypeError) as error:
        # Its text does not quote the key.
        raise SettingsError(f"{where}: no private key (PEM, PKCS8, without a password): {error}; {_MAKE}") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise SettingsError(f"{where}: is no Ed25519 key; {_MAKE}")
    public = private.public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return CryptoSigner(private, SSlibKey.from_crypto(public, keyid=PublicKey(der).keyid))


def _private(path: Path) -> bytes:
    """The bytes of a file that its owner alone may read; raises SettingsError."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise SettingsError(f"{VARIABLE}={path}: others may read or write it; chmod 600 {path}")
            return file.read()
    except OSError as error:
        # Where there is no such file it may be the key itself, which nobody is to see.
        raise SettingsError(f"{VARIABLE}: {error.strerror}; it names the file that holds the key") from None
