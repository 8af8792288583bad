"""Errors that a user can fix; the message is one line and says how.

Everything raised on purpose here is a ``PrepError``. Any other exception is a bug.
"""


class PrepError(ValueError):
    """The root of all errors that prep raises on purpose."""


class ReadError(PrepError):
    """A file, or a member of an archive, that cannot be read."""


class ForeignFile(PrepError):
    """A file that would be replaced, and that is a person's own."""


class FrameError(ReadError):
    """A picture or a video that is damaged, of an unknown kind, or cannot be written as asked."""


class DatasetError(PrepError):
    """A data set that is not there, or is not laid out as published."""


class MaskError(PrepError):
    """A masks folder that does not hold what was asked for."""


class PackError(PrepError):
    """A pack that is damaged, does not hold what was asked for, or cannot be made."""


class SynthesisError(PrepError):
    """Recordings or photographs of which no pairs can be made as asked."""


class WorkerError(PrepError):
    """Worker processes that cannot be reached, or died."""
