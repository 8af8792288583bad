"""A trained network at work on pictures and videos."""
