"""The password of an environment's database: a variable's, else Vault's, else, in dev, one that everybody knows."""

from __future__ import annotations

import os

from pytest_artisan.release.secrets import Secret, kept
from pytest_artisan.release.vault import Vault, read

# Documented, so no secret; refused everywhere but in dev.
DEV_PASSWORD = "artisan-dev"  # noqa: S105


class Password(Secret):
    """The password in the environment `env`; where `reference` and `vault` are None, dev has a default."""

    def __init__(self, env: str, reference: str | None = None, vault: Vault | None = None) -> None:
        super().__init__(reference or f"DB_PASSWORD_{env.upper()}")
        self._env, self._vault = env, vault
        self._path = f"artisan/{env}/db" if vault is None or vault.path is None else vault.path
        self._has_default = env == "dev" and reference is None and vault is None

    def reveal(self) -> str:
        """The value; raises LookupError where there is none, and in stg and prod where it is dev's."""
        value = os.environ.get(self.reference, "") or self._from_vault()
        if not value and self._has_default:
            # Not kept: a mask of it would cover the names of dev's own files.
            return DEV_PASSWORD
        if self._is_of_dev(value):
            raise LookupError(f"the password of {self._env} is that of dev; give it one of its own")
        return kept(value) if value else super().reveal()

    def masked(self) -> str:
        if self._is_of_dev(os.environ.get(self.reference)):
            return f"(refused: that of dev) (from {self.reference})"
        if os.environ.get(self.reference) or (self._vault is None and not self._has_default):
            return super().masked()
        if self._vault is None:
            return f"(the default of dev; {self.reference} is not set)"
        return f"(not looked up) (from {self.reference}, which is not set, else Vault {self._vault.mount}/{self._path})"

    def _is_of_dev(self, value: str | None) -> bool:
        return self._env != "dev" and bool(value) and value in (DEV_PASSWORD, os.environ.get("DB_PASSWORD_DEV"))

    def _from_vault(self) -> str:
        if self._vault is None:
            return ""
        try:
            return read(self._vault, self._path)
        except LookupError as error:
            raise LookupError(f"{self.reference} is not set, and Vault does not help: {error}") from None
