"""The file predictions.json: what was predicted from which file, and each class's share."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rein.atomic_files import naming_failures, write_atomically
from rein.engine.predicting.sources import Source
from rein.errors import UserError

FILE = "predictions.json"

_PAUSE = 30  # writing takes at most this share of the time, and a kill loses few entries


class Record:
    """The entries of all finished inputs, written to a folder now and then.

    Args:
        folder: Folder of the outputs.
        settings: The model and all options that change the predictions; None for an option left
            out.
        overwrite: Start anew if the folder holds predictions of other settings or files.

    Attributes:
        inputs: The entry of each finished input.
        added: Names of the inputs that were added since, in order.

    Raises:
        UserError: The folder's record is damaged or of other settings.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], overwrite: bool = False):
        self.path, self.settings, self.overwrite = folder / FILE, dict(settings), overwrite
        self.inputs: dict[str, dict[str, Any]] = {}
        self.added: list[str] = []
        self._next = 0.0
        if not self.path.exists():
            return
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            found, inputs = dict(content["settings"]), dict(content["inputs"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.path}: damaged. Remove it to predict all inputs again."
                            ) from error
        differing = [key for key in {**self.settings, **found}
                     if found.get(key) != self.settings.get(key)]
        if not differing:
            self.inputs = inputs
        elif inputs and not overwrite:
            key = differing[0]
            raise UserError(
                f"{folder}: holds predictions made with {key}={found.get(key)!r}, not "
                f"{self.settings.get(key)!r}. Choose another folder with --out, or replace them "
                "with --overwrite.")

    def is_done(self, source: Source, outputs: Sequence[Path]) -> bool:
        """Tell whether a source was predicted since its last change, with all outputs.

        Raises:
            UserError: The outputs belong to another file of the same name.
        """
        entry = self.inputs.get(source.name)
        if entry is None or self.overwrite:
            return False
        if entry.get("source") != source.path:
            raise UserError(
                f"{outputs[0]}: is the prediction of {entry.get('source')}, not of {source.path}. "
                "Choose another folder with --out, or replace it with --overwrite.")
        if source.kind != "camera" and not os.path.exists(source.path):
            return False  # a link whose file is gone
        return {**entry, **_stamp(source)} == entry and all(path.exists() for path in outputs)

    def add(self, source: Source, details: Mapping[str, Any]) -> None:
        """Add the entry of a finished source."""
        self.inputs[source.name] = {"source": source.path, **_stamp(source), **details}
        self.added.append(source.name)
        if time.monotonic() > self._next:
            self.write()

    def drop(self, source: Source) -> None:
        """Remove the entry of a source that could not be predicted again."""
        self.inputs.pop(source.name, None)

    def write(self) -> None:
        """Write the file, complete or not at all."""
        started = time.monotonic()
        content = dict(settings=self.settings, inputs=self.inputs)
        with naming_failures(self.path, "Make room or choose another folder, then try again."):
            write_atomically(self.path, json.dumps(content, indent=1) + "\n")
        self._next = time.monotonic() + max(_PAUSE, _PAUSE * (time.monotonic() - started))


def _stamp(source: Source) -> dict[str, int]:
    """Return the size and time of change of a source's file."""
    if source.kind == "camera":
        return {}
    status = os.stat(source.path)
    return {"bytes": status.st_size, "modified": status.st_mtime_ns}
