"""A further evaluation and a further method, which `test_addition` adds to a copy of the source."""
