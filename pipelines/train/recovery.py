"""Recovery from divergence: roll back to a checkpoint with half the learning rate, or stop.

It follows several losses in a row that are not finite or have exploded. At the end of the run, one such loss or a
non-finite weight is enough.
"""

from typing import Any, NoReturn

from pipelines.errors import TrainingError
from pipelines.train import checkpoints, run_folder
from pipelines.train.learner import Learner

MAX_NONFINITE = 3  # non-finite or exploded losses in a row that trigger the recovery
SMALLEST_FACTOR = 1 / 64  # smallest factor of the learning rate; the run is given up at the next halving
_RESTART = "start a new run with a lower --learning-rate"


def recover(learner: Learner) -> dict[str, Any]:
    """Roll back to the last good checkpoint with half the learning rate.

    Returns:
        The row that was added to the log.

    Raises:
        TrainingError: If the settings say to stop, there is no good checkpoint, or the rate is too low already.
    """
    run, state, fabric = learner.run, learner.state, learner.fabric
    failed_step, factor = state.step, state.learning_rate_factor / 2
    good_steps = _good_steps(learner)
    if run.config.divergence == "stop" or not good_steps:
        cure = "use --divergence halve to continue from it with half the learning rate, or " if good_steps else ""
        _give_up(learner, "", good_steps, cure + _RESTART)
    if factor < SMALLEST_FACTOR:
        is_low = f", and the learning rate is down to {state.learning_rate_factor:g} of --learning-rate"
        _give_up(learner, is_low, good_steps, _RESTART)
    fabric.barrier()  # wait until all processes have listed the checkpoints
    if fabric.is_global_zero:
        checkpoints.forget_after(run.folder, good_steps[-1])
    fabric.barrier()
    spent = state.seconds
    learner.restore()
    state.seconds = spent
    state.learning_rate_factor, state.nonfinite_losses, state.rolled_back_to = factor, 0, state.step
    row = {"step": state.step, "went_back_from": failed_step, "factor": factor}
    if fabric.is_global_zero:
        run_folder.trim_log(run.folder, state.step)
        run_folder.append_to_log(run.folder, [row])
    learner.save()  # so that a kill does not undo the halving
    return row


def _good_steps(learner: Learner) -> list[int]:
    """Return the steps of the checkpoints that the run may be rolled back to."""
    steps, state = checkpoints.saved_steps(learner.run.folder), learner.state
    if steps and steps[-1] == state.step - state.nonfinite_losses == state.rolled_back_to:
        steps.pop()  # its weights are bad: even with half the rate the next losses were not finite
    return steps


def _give_up(learner: Learner, reason: str, good_steps: list[int], cure: str) -> NoReturn:
    run, step, count = learner.run, learner.state.step, learner.state.nonfinite_losses
    were, to = (f"{count} losses in a row were", "up to") if count > 1 else ("the loss was", "at")
    losses = f"{were} not finite, or exploded, {to} step {step} (log.jsonl lists the frames)"
    what = losses if count else f"the weights are not finite after step {step}"
    if learner.fabric.is_global_zero:
        run_folder.append_to_log(run.folder, [{"step": step, "gave_up": what}])
    saved = f"step {good_steps[-1]} is saved in {run.folder}" if good_steps else "no good checkpoint was saved"
    raise TrainingError(f"{what}{reason}; {saved}; {cure}")
