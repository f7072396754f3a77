"""Testing: options, protocols, a plan of the tests, their reports, and submissions."""
