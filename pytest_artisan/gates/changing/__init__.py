"""What a branch changes: since when, how much, and with which promises."""
