"""Label-free pretraining of the toy foundation model, and a linear probe of its features."""
