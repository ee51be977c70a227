"""Release gates of an AI service as one pytest session that ends in GO or NO-GO, with reasons."""

# Nothing is imported here: pytest imports this package in every session of every project that has it installed.
