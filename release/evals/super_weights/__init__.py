"""Super weights of the dense model, and whether pruning zeroed them (Yu et al. 2024; arXiv 2411.07191)."""
