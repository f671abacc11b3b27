"""Dense and pruned side by side: BBQ, perplexity, latency, storage.

Both models go through the same code, with the same items in the same order; every difference has an interval.
This package knows nothing about how a model was pruned, and nothing about cards.
"""

from release.measure.run import measure, prepare

__all__ = ["measure", "prepare"]
