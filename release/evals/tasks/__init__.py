"""Tasks of evaluation harnesses: accuracy item by item, dense beside pruned, asked here or imported."""
