"""Which weights become zero, and the files that say so.

* `budget` tells how many zeros each tensor gets: exact, whatever the shapes,
* `draws` is the counter-based randomness that masks depend on,
* `selection` finds the k smallest of integer scores, ties broken at random,
* one file per method (`random`, `magnitude`) holds its score, `registry` lists them,
* `prune` writes the pruned checkpoint, streaming.

To add a method: one file, one row in `registry.METHODS`, one paragraph in `templates/methods/`.
"""
