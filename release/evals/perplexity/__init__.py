"""Perplexity of running text, window by window, dense and pruned on the same windows."""
