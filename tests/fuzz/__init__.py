"""Fuzzing of every reader of outside bytes.

One law for all: a target ends in a value or in a `ReleaseError`, within time and memory. `targets.py` lists them, and
`corpus/` keeps every input that once broke one, and `python -m tests.fuzz` (`make fuzz`) makes the full run, under
atheris where that is installed. `tests/test_fuzz.py` repeats the corpus and a few hundred runs of each target.
"""
