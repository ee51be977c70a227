"""Who gets which share of the requests: blue, which is there, or green, which comes."""
