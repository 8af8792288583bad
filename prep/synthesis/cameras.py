"""The named cameras, with the sources of their numbers.

``dslr`` and ``phone`` differ in noise and colour. A user's own camera is a named camera with some options changed.
"""

from prep.errors import SynthesisError
from prep.synthesis.camera import Camera, Interval, Matrix
from prep.synthesis.response import GAMMA, SRGB

# Matrices from XYZ to the sensor's colours: the four cameras of the Darmstadt Noise Dataset (Plötz and Roth 2017), as
# published in the code of Brooks et al. 2019 ("Unprocessing images for learned raw denoising").
_SONY_A7R = ((0.4913, -0.0541, -0.0202), (-0.6130, 1.3513, 0.2906), (-0.1564, 0.2151, 0.7183))
_OLYMPUS_EM10 = ((0.8380, -0.2630, -0.0639), (-0.2887, 1.0725, 0.2496), (-0.0627, 0.1427, 0.5438))
_SONY_RX100M4 = ((0.6596, -0.2079, -0.0562), (-0.4782, 1.3016, 0.1933), (-0.0970, 0.1581, 0.5181))
_NEXUS_6P = ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406))
_SRGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))

# White balance: Brooks et al. 2019. Highlights: 1 + the values of Rim et al. 2022, whose code adds them to white.
_RED: Interval = (1.9, 2.4)
_BLUE: Interval = (1.5, 1.9)
_HIGHLIGHTS: Interval = (1.25, 2.75)


def _from_srgb(from_xyz: Matrix) -> Matrix:
    """Compute the matrix from linear sRGB; each row's sum is scaled to 1, because white balance is a separate step."""
    rows = [[sum(row[k] * _SRGB_TO_XYZ[k][column] for k in range(3)) for column in range(3)] for row in from_xyz]
    return tuple((row[0] / sum(row), row[1] / sum(row), row[2] / sum(row)) for row in rows)


NONE = Camera()

# A single exposure of a GoPro HERO4's video at 240 frames/s. Noise: our measurement of GOPRO_Large_all in daylight
# (benchmarks/realism.py). The range is from the noise that the camera's denoising and compression leave at the finest
# scale (variance 1e-6 to 1e-5 of the light) to the noise that changes from frame to frame (7e-5). The noise is that of
# the developed picture, so there is no white balance and no colour matrix.
# No mosaic, because the sensor has more pixels than the video. Response: Nah et al. 2017.
GOPRO = Camera(name="gopro", response=GAMMA, highlights=_HIGHLIGHTS, shot=(3e-6, 7e-5), read=(5e-5, 2e-4), bits=12)

# Noise: 0.5 to 1.5 times the values that Rim et al. 2022 fitted to the Sony A7R III of RealBlur; the range is theirs.
DSLR = Camera(
    name="dslr",
    response=SRGB,
    highlights=_HIGHLIGHTS,
    matrices=tuple(_from_srgb(matrix) for matrix in (_SONY_A7R, _OLYMPUS_EM10, _SONY_RX100M4)),
    red=_RED,
    blue=_BLUE,
    mosaic=True,
    shot=(0.5 * 8.8915e-5, 1.5 * 8.8915e-5),
    read=(0.5 * 2.9430e-5, 1.5 * 2.9430e-5),
    bits=14,
)

# Noise: the range of Brooks et al. 2019, and their line between shot and read noise, without the scatter about it:
# log(variance of read noise) = 2.18 log(variance of shot noise) + 1.20.
PHONE = Camera(
    name="phone",
    response=SRGB,
    highlights=_HIGHLIGHTS,
    matrices=(_from_srgb(_NEXUS_6P),),
    red=_RED,
    blue=_BLUE,
    mosaic=True,
    shot=(1e-4, 1.2e-2),
    read=((1e-4**2.18 * 3.3201) ** 0.5, (1.2e-2**2.18 * 3.3201) ** 0.5),  # 3.3201 = exp(1.20)
    bits=10,
)

CAMERAS = {camera.name: camera for camera in (NONE, GOPRO, PHONE, DSLR)}


def named(name: str) -> Camera:
    """Return the camera with this name.

    Raises:
        SynthesisError: If there is no such camera.
    """
    if name not in CAMERAS:
        raise SynthesisError(f"{name} is not a camera; use one of {', '.join(CAMERAS)}")
    return CAMERAS[name]
