"""Feature flags: what is on, for whom, and who has changed it."""

from pytest_artisan.release.flags.manager import FeatureFlagManager, is_enabled

__all__ = ["FeatureFlagManager", "is_enabled"]
