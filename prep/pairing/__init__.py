"""Frames that do not match: how to recognise such a pair, and how to search a data set for them by a sample."""
