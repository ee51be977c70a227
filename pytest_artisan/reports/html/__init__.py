"""The verdict as one page for a person with a minute: no script, nothing loaded from elsewhere."""
