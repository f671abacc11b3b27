"""Dense and pruned side by side: one folder for each evaluation, one row for each in `registry`.

Both models go through the same code, with the same items in the same order; every difference has an interval.
This package knows nothing about how a model was pruned, and nothing about cards. `run` loops over the rows; what has to
run a model imports torch, and what only computes from answers, losses and times does not.
"""
