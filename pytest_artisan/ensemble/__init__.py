"""The LLM ensemble: a wish in words becomes a brief that the evolution understands."""
