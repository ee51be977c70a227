"""A version starts beside the one that is there, takes over its traffic, and gives it back where it does harm."""
