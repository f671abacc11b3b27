"""Bytes of the weight files, dense and pruned."""
