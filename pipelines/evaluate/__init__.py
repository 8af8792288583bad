"""Score frames, and write tables and a page of the scores."""
