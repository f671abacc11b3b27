"""Several releases beside each other: one table, curves against sparsity, what masks of one recipe differ by."""
