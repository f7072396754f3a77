"""Read configs, check them, and build what they name."""
