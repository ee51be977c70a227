"""The release train: when it runs, what makes it, and when a deployment may begin."""
