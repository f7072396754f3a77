"""Engine: configs, the runner and its hooks, weights in and out of models, inference."""
