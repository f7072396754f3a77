"""Testing: protocols, the loop, the record of a test and submissions."""
