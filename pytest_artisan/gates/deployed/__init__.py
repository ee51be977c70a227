"""The gate `smoke`: whether a deployed service keeps its contract."""
