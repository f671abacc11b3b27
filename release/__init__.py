"""Publish pruned language models that can be believed.

The parts, in the order a release is made (`release.pipeline.publish` is the whole story):

* `release.sources` finds the base model and the data sets,
* `release.checkpoint` reads safetensors on disk and tells which tensors are prunable,
* `release.pruning` decides which weights become zero and writes the pruned files,
* `release.verification.audit` reads what was written again and refuses what is not as it should be,
* `release.evals` puts dense and pruned side by side,
* `release.schema.record` is what is known about a release, `release.evals.claims` what may be said about it,
* `release.card.render` and `release.space.build` turn the record into what people see,
* `release.hub` uploads it.
"""

__version__ = "0.1.0"
