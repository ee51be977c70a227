"""What the gate `migrations` looks at: the revisions as they are written, and as they run."""
