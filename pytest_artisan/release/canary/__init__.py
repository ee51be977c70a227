"""A change goes to a few, then to more, and comes back by itself where it does harm."""
