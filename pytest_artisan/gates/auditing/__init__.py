"""What is known of the vulnerabilities of a project's dependencies, against the limits."""
