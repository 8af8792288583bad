"""Prepare training data: data sets, sharpness maps, masks, crops and HDF5 packs. Does not need torch."""
