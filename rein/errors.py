"""The error for a user's mistake, reported in one line."""


class UserError(Exception):
    """A mistake the user can fix; the message says what was found and what to do.

    The message stays one line when raised in a data loader worker.
    """

    def __init__(self, message: str):
        if message.startswith("Caught "):  # torch passes the worker's traceback as the message
            message = message.rpartition(f"{type(self).__name__}: ")[2].strip()
        super().__init__(message)
