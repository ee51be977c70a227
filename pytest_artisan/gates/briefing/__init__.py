"""The gate `ensemble`: whether a wish becomes a brief, in its schema and in time, whatever happens to the members."""
