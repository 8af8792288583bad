"""Frames in, supervision out: data sets, sharpness maps, masks, crops and HDF5 packs. Needs no torch."""
