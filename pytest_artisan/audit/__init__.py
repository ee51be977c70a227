"""Known vulnerabilities of what a project installs, and the bill of its materials."""
