"""The gate `e2e_evolution`: whether feedback makes better what comes next."""
