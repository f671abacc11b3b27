"""A grid of releases, models × methods × sparsities × seeds, from one file: its cells, how they are built, a report."""
