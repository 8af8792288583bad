"""Comparisons of the paper: every row trained alike and scored alike."""
