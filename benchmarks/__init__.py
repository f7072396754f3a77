"""Paired measurements against a reference; tools/benchmark.py runs them.

One module per subject. Each has `run(repeats: int) -> list[Row]`; README.md in
this folder lists the results by date and device. Nothing here is part of the product or the tests.
"""
