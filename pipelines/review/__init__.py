"""The page on which a person checks masks."""
