"""A user's mistake, told in one line."""


class UserError(Exception):
    """A mistake the user can fix; the message says what was found and what to do."""
