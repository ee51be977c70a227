"""A verdict as text, for people and for machines; all of them are made from the same verdict."""
