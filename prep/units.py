"""Format numbers for people: counts with their noun, percentages, sizes of files and memory, durations."""

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def counted(number: int, noun: str, plural: str = "") -> str:
    """Format a count with its noun: ``1 pair``, ``2 pairs``, ``1,111 frames``.

    Args:
        number: The count, 0 or more.
        noun: The noun in the singular.
        plural: The noun in the plural; empty if adding an s makes it.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(share: float, digits: int = 1) -> str:
    """Format a share, 0 to 1, in percent: ``0%``, ``less than 0.1%``, ``12.3%``."""
    smallest = 10.0**-digits / 100
    return "0%" if share == 0 else f"less than {smallest:.{digits}%}" if share < smallest else f"{share:.{digits}%}"


def file_size(size: float) -> str:
    """Format bytes in powers of 1000, at most three digits before the unit: ``820 bytes``, ``2.5 MB``, ``31 GB``."""
    if size < 999.5:
        return counted(round(size), "byte")
    for unit in ("kB", "MB", "GB", "TB"):
        size /= 1000
        if size < 999.5 or unit == "TB":
            break
    return f"{size:.1f} {unit}" if size < 9.95 else f"{size:,.0f} {unit}"


def about(seconds: float) -> str:
    """Format an estimated duration: ``about 3 min``, or ``under 1 s``."""
    text = duration(seconds)
    return text if text.startswith("under") else f"about {text}"


def duration(seconds: float) -> str:
    """Format a duration: ``under 1 s``, ``42 s``, ``3 min``, ``2 h 30 min``, ``4.1 days``, ``28.6 years``."""
    if seconds < 1:
        return "under 1 s"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        hours, minutes = divmod(round(seconds / _MINUTE), 60)
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{seconds / _DAY:,.1f} days" if seconds < 2 * _YEAR else f"{seconds / _YEAR:,.1f} years"
