"""Testing: options, protocols, test plans, reports and submissions."""
