"""A verdict that can be checked later and elsewhere: for what it was given, by whom, and until when."""
