"""What goes wrong for a reason that a person can mend; the message is one line and says how.

Everything raised on purpose here is a ``PipelineError``. Any other exception is a bug.
"""


class PipelineError(ValueError):
    """The root: found something else than was wanted."""


class DataError(PipelineError):
    """Packs that cannot be used as asked, or whose reading ended."""


class TrainingError(PipelineError):
    """A run that cannot begin or go on as asked."""


class RunInUse(TrainingError):
    """A run that another process trains."""


class EvaluationError(PipelineError):
    """Frames that cannot be scored as asked, or a scores folder that holds something else."""


class InputError(PipelineError):
    """Inputs that are not there, or whose results would overwrite one another."""


class CheckpointError(PipelineError):
    """Checkpoints of others that are not what they should be."""


class CompilerMissing(PipelineError):
    """A network that is to be compiled, where no compiler is installed."""
