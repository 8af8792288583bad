"""Errors that a user can fix; the message is one line and says how.

Everything raised on purpose here is a ``PipelineError``. Any other exception is a bug.
"""


class PipelineError(ValueError):
    """The base class of all errors that pipelines raise on purpose."""


class DataError(PipelineError):
    """Packs that cannot be used with these settings, or that can no longer be read."""


class TrainingError(PipelineError):
    """A run that cannot start or continue."""


class RunInUse(TrainingError):
    """A run that another process is training."""


class EvaluationError(PipelineError):
    """Frames that cannot be scored, or a scores folder with other content."""


class InputError(PipelineError):
    """Inputs that do not exist, or whose results would overwrite each other."""


class CheckpointError(PipelineError):
    """Checkpoints of other projects that cannot be used."""


class CompilerMissing(PipelineError):
    """No compiler is installed for a network that should be compiled."""
