"""Read and write frames, photographs and videos; a killed process never leaves a half-written file."""
