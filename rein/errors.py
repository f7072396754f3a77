"""The error for a user's mistake, reported in one line."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """A mistake the user can fix; the message says what was found and what to do.

    The message stays one line when raised in a data loader worker.
    """

    def __init__(self, message: str):
        if message.startswith("Caught "):  # torch passes the worker's traceback as the message
            message = message.rpartition(f"{type(self).__name__}: ")[2].strip()
        super().__init__(message)


def one_line(error: BaseException, length: int = 300) -> str:
    """Return an error's message on one line of at most `length` characters, with its type."""
    text = f"{type(error).__name__}: {error}"
    if not str(error) and error.__traceback__:  # an assertion without a message
        text += traceback.extract_tb(error.__traceback__)[-1].line
    if "Original Traceback" in text:  # raised in a data loader worker
        text = text.strip().splitlines()[-1]
    text = " ".join(text.split())
    return text if len(text) <= length else text[:length - 3] + "..."


@contextmanager
def building(part: str) -> Iterator[None]:
    """Report a failure to build a part of a config as a user's mistake.

    Constructors check their own arguments, and raise errors of any type. The cause stays attached:
    commands print it if REIN_TRACEBACK is set.

    Args:
        part: Where the part is in the config, e.g. "train_dataloader".

    Raises:
        UserError: Any error except those of the file system, which name their file.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:
        reason = one_line(error).rstrip(".")
        raise UserError(f"{part} cannot be built: {reason}. Correct it in the config.") from error
