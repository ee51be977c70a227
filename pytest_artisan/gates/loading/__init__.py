"""What the gate `load_smoke` makes of a run: where it goes, what it shows, and how that is told."""
