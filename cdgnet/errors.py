"""What goes wrong for a reason that a person can mend; the message is one line and says how."""


class CDGNetError(ValueError):
    """The root: found something else than was wanted."""


class WeightsError(CDGNetError):
    """A file of weights that cannot be used; the message names it."""
