"""Pairs that are no pairs: what one looks like, and how a data set is searched for them on a sample."""
