"""Wall time of one answer, dense and pruned in turns, by one resident model."""
