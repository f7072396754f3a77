"""Engine: configs, the runner and its hooks, loading and saving weights, inference."""
