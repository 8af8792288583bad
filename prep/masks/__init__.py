"""S -> M -> Sgt and Lgt, and folders of maps and masks."""
