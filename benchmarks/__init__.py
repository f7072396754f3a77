"""Measurements against a reference, pair by pair; tools/benchmark.py runs them.

One module per subject. Each has `run(repeats: int) -> list[Row]`; results are kept, dated and per
device, in README.md beside this file. Nothing here is part of the product or of the tests.
"""
