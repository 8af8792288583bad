"""Find published data sets, or frames in any two folders, and pair the frames."""
