"""The toy street world and the pretraining of its foundation model: a fixture, no part of Rein."""
