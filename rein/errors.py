"""The error for a user's mistake, reported in one line."""


class UserError(Exception):
    """A mistake the user can fix; the message says what was found and what to do."""
