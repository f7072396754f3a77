"""Cache the text of a config, as written to the log, the work dir and every checkpoint."""

from mmengine.config import Config


class FormattedOnce(Config):
    """A config that reformats its text only after a change.

    mmengine takes 0.7 s to format it, four times at the start of a run and once per save.
    """

    _formatted = ("", "")  # the last values and their text

    @classmethod
    def of(cls, cfg: Config) -> "FormattedOnce":
        """Wrap a config; both share the same values."""
        wrapped = cls.__new__(cls)
        wrapped.__dict__.update(cfg.__dict__)
        return wrapped

    @property
    def pretty_text(self) -> str:
        """The values as formatted Python code."""
        values = repr(self._cfg_dict)
        if values != self._formatted[0]:
            object.__setattr__(self, "_formatted", (values, super().pretty_text))
        return self._formatted[1]
