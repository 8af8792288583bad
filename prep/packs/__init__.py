"""Frames and masks cut into crops in one HDF5 file."""
