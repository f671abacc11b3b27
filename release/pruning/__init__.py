"""Which weights become zero, and the files that say so.

* `recipe` is what was asked for, `budget` how many zeros each tensor gets: exact, whatever the shapes,
* `mask_rng` is the counter-based randomness that masks depend on,
* `selection` finds the k smallest of integer scores, ties broken at random,
* one file per method (`random`, `magnitude`, `wanda`, `ria`, `sparsegpt`) holds its score, `registry` lists them,
* `calibration` is the text, `calibrate` runs it through the model block after block,
* `prune` writes the pruned checkpoint, streaming; `masks` publishes where its zeros are, `rebuild` makes it again.

To add a method: one file, one row in `registry.METHODS`, one paragraph in `templates/methods/`.
"""
