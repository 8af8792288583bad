"""Motion of small test frames: the camera's little, that of a thing before it more."""

from prep.synthesis.trajectories import Stroke

HAND = Stroke(shortest=5, longest=7, tilt=0.15, tremor=0)
THING = Stroke(shortest=7, longest=12, tremor=0)
