"""BBQ, the Bias Benchmark for Question answering (Parrish et al. 2022; arXiv 2110.08193): prompts to scores."""
