"""The bill of a project's materials, as CycloneDX writes it."""
