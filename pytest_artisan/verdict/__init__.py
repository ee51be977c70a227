"""Evidence in, verdict out: pure values and functions, without pytest, input, output or a clock."""
