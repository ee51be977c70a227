"""Feature flags: what is on, for whom, and who has changed it."""

from pytest_artisan.release.flags.manager import FeatureFlagManager, default_manager, is_enabled

__all__ = ["FeatureFlagManager", "default_manager", "is_enabled"]
