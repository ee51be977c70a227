"""The flags behind OpenFeature's API; needs the extra `openfeature`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import FlagNotFoundError, TypeMismatchError
from openfeature.flag_evaluation import FlagResolutionDetails, FlagValueType, Reason
from openfeature.provider import AbstractProvider, Metadata

from pytest_artisan.release.flags.manager import FeatureFlagManager
from pytest_artisan.release.flags.rules import Decision


class ArtisanProvider(AbstractProvider):
    """Booleans of a manager; the targeting key is the user.

    A flag that does not exist is FLAG_NOT_FOUND, another type TYPE_MISMATCH: the caller's own default counts.
    """

    def __init__(self, manager: FeatureFlagManager) -> None:
        super().__init__()
        self._manager = manager

    def get_metadata(self) -> Metadata:
        return Metadata(name="artisan")

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: EvaluationContext | None = None
    ) -> FlagResolutionDetails[bool]:
        self._check(flag_key)
        user = None if evaluation_context is None else evaluation_context.targeting_key
        decision = self._manager.explain(flag_key, user)
        variant = "on" if decision.on else "off"
        return FlagResolutionDetails(decision.on, variant=variant, reason=self._reason(decision))

    def resolve_string_details(
        self, flag_key: str, default_value: str, evaluation_context: EvaluationContext | None = None
    ) -> NoReturn:
        self._refuse(flag_key)

    def resolve_integer_details(
        self, flag_key: str, default_value: int, evaluation_context: EvaluationContext | None = None
    ) -> NoReturn:
        self._refuse(flag_key)

    def resolve_float_details(
        self, flag_key: str, default_value: float, evaluation_context: EvaluationContext | None = None
    ) -> NoReturn:
        self._refuse(flag_key)

    def resolve_object_details(
        self,
        flag_key: str,
        default_value: Sequence[FlagValueType] | Mapping[str, FlagValueType],
        evaluation_context: EvaluationContext | None = None,
    ) -> NoReturn:
        self._refuse(flag_key)

    def _check(self, flag: str) -> None:
        if flag not in self._manager.flags:
            raise FlagNotFoundError(f"no flag {flag!r}; known: {', '.join(self._manager.flags)}")

    def _refuse(self, flag: str) -> NoReturn:
        self._check(flag)
        raise TypeMismatchError(f"{flag} is a boolean")

    def _reason(self, decision: Decision) -> Reason:
        if self._manager.fault is not None:
            return Reason.STALE
        if not decision.changed or (decision.state.split and decision.bucket is None):
            return Reason.DEFAULT
        return Reason.SPLIT if decision.state.split else Reason.STATIC
