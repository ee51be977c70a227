"""The Artisan service."""
