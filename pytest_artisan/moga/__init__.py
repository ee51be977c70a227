"""Multi-objective evolution in numpy: arrays in, arrays out, everything minimised."""
