"""Perfume: materials and their limits, briefs, formulas, and how they evolve."""
