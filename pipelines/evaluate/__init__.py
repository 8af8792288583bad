"""Frames in, scores, tables and a page out."""
