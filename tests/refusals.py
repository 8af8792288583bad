"""Files that may hold anything: used, or refused in one line."""

from collections.abc import Callable

from pipelines.errors import PipelineError
from prep.errors import PrepError


def is_used(work: Callable[[], object]) -> bool:
    """Whether something can be done; else it must have been refused in one line."""
    try:
        work()
    except (PipelineError, PrepError) as error:
        assert len(str(error).splitlines()) == 1, str(error)
        return False
    return True
