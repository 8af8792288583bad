"""Packs in, a run folder with weights out."""
