"""What the gate `moga_stability` checks; imported when it runs, for it needs numpy."""
