"""Signing without a key, by sigstore: who signed is what an issuer of identities says, such as a CI's.

Signing needs the network, checking none. The extra `keyless` brings sigstore.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_artisan.release.attestation.attested import Check, Refused
from pytest_artisan.release.attestation.settings import Attestation
from pytest_artisan.settings import SettingsError, one_line

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

_MISSING = "sigstore is not installed; pip install pytest-artisan[keyless] brings it"
_WHERE = "[[tool.artisan.attestation.keyless]]"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whoever can show `issuer` to be `identity`; its id is a digest of both."""

    identity: str
    issuer: str

    @property
    def keyid(self) -> str:
        return hashlib.sha256(f"{self.identity}\n{self.issuer}".encode()).hexdigest()

    def check(self, signature: bytes, bundle: dict[str, Any] | None, signed: bytes) -> None:
        try:
            from sigstore.models import Bundle
            from sigstore.verify import Verifier
            from sigstore.verify.policy import Identity as Policy
        except ImportError:
            raise SettingsError(_MISSING) from None
        try:
            found = Bundle.from_json(json.dumps(bundle))
            if found.signature != signature:
                raise ValueError("the signature is not that of its bundle")
            # By the trust root that came with sigstore: a deployment has no network to ask.
            verifier = Verifier.production(offline=True)
            verifier.verify_artifact(signed, found, Policy(identity=self.identity, issuer=self.issuer))
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing was shown
            raise Refused(f"no signature of {self.identity}: {one_line(str(error))}", Check.SIGNATURE) from None


def keyless_signer(table: Attestation) -> Signer:
    """Who signs as this process's identity, which has to be the policy's first. Raises SettingsError."""
    if not table.keyless:
        raise SettingsError(f"pyproject.toml has no {_WHERE} with identity and issuer, so nobody could check it")
    try:
        from sigstore.errors import Error
    except ImportError:
        raise SettingsError(_MISSING) from None
    from securesystemslib.signer import SigstoreKey, SigstoreSigner

    who = table.keyless[0]
    key = SigstoreKey(
        Identity(who.identity, who.issuer).keyid,
        SigstoreKey.DEFAULT_KEY_TYPE,
        SigstoreKey.DEFAULT_SCHEME,
        {"identity": who.identity, "issuer": who.issuer},
    )
    try:
        return SigstoreSigner.from_priv_key_uri("sigstore:", key)
    except (Error, RuntimeError, ValueError) as error:
        raise SettingsError(f"sigstore does not know who this is: {error}") from None
