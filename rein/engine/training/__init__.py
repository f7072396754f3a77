"""Train with mmengine's runner: resumable, seeded, in one or many processes."""
