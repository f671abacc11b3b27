"""Results in the forms that other tools read: derived from a record, and from nothing else."""
