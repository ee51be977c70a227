"""The two places of a service, blue and green: what runs in each, its start and its end."""
