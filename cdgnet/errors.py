"""Errors that users can fix; each message is one line and says how."""


class CDGNetError(ValueError):
    """Base class of the package's own errors, a ``ValueError``."""


class WeightsError(CDGNetError):
    """A weights file cannot be used; the message names the file and the reason."""
