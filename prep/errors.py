"""Errors that a user can fix; each message is one line and says how.

Errors raised on purpose are subclasses of ``PrepError``. Any other exception is a bug.
"""


class PrepError(ValueError):
    """The base class of all errors that prep raises on purpose."""


class ReadError(PrepError):
    """A file, or a member of an archive, that cannot be read."""


class ForeignFile(PrepError):
    """A file that would be overwritten but was not written by this project."""


class FrameError(ReadError):
    """A picture or a video that is damaged, of an unknown format, or cannot be written as requested."""


class DatasetError(PrepError):
    """A data set that does not exist, or whose folders are not those of a known layout."""


class MaskError(PrepError):
    """A masks folder that lacks the requested masks, or contains others."""


class PackError(PrepError):
    """A pack that is damaged, lacks the requested data, or cannot be made."""


class SynthesisError(PrepError):
    """Recordings or photographs from which the requested pairs cannot be made."""


class WorkerError(PrepError):
    """Worker processes that cannot be reached or were killed."""
