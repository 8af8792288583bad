"""Restore pictures and videos with a trained network."""
