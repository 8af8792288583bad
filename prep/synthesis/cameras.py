"""The named cameras, with the sources of their numbers.

``dslr`` and ``phone`` differ in noise and colour; a user's own camera is one of them with options of its own.
"""

from prep.errors import SynthesisError
from prep.synthesis.camera import Camera, Interval, Matrix
from prep.synthesis.response import GAMMA, SRGB

# From XYZ to the sensor's colours: the four cameras of the Darmstadt Noise Dataset (Plötz and Roth 2017), as Brooks et
# al. 2019 ("Unprocessing images for learned raw denoising") publish them with their code.
_SONY_A7R = ((0.4913, -0.0541, -0.0202), (-0.6130, 1.3513, 0.2906), (-0.1564, 0.2151, 0.7183))
_OLYMPUS_EM10 = ((0.8380, -0.2630, -0.0639), (-0.2887, 1.0725, 0.2496), (-0.0627, 0.1427, 0.5438))
_SONY_RX100M4 = ((0.6596, -0.2079, -0.0562), (-0.4782, 1.3016, 0.1933), (-0.0970, 0.1581, 0.5181))
_NEXUS_6P = ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406))
_SRGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))

# White balance: Brooks et al. 2019; saturation: one more than Rim et al. 2022 draw, who add to white (their code).
_RED: Interval = (1.9, 2.4)
_BLUE: Interval = (1.5, 1.9)
_HIGHLIGHTS: Interval = (1.25, 2.75)


def _from_srgb(from_xyz: Matrix) -> Matrix:
    """From linear sRGB to the sensor's colours, rows scaled to a sum of 1: white balance is apart."""
    rows = [[sum(row[k] * _SRGB_TO_XYZ[k][column] for k in range(3)) for column in range(3)] for row in from_xyz]
    return tuple((row[0] / sum(row), row[1] / sum(row), row[2] / sum(row)) for row in rows)


NONE = Camera()

# A single exposure of a GoPro HERO4's video at 240 frames/s. Noise: ours, of GOPRO_Large_all in daylight
# (benchmarks/realism.py): from what the camera's own denoising and compression leave at the finest scale (1e-6 to 1e-5
# of the light) to what changes from frame to frame (7e-5). It is the finished picture's, so no balance and no matrix.
# No mosaic: the sensor has more pixels than the video. Response: Nah et al. 2017.
GOPRO = Camera(name="gopro", response=GAMMA, highlights=_HIGHLIGHTS, shot=(3e-6, 7e-5), read=(5e-5, 2e-4), bits=12)

# Noise: what Rim et al. 2022 fitted to the Sony A7R III of RealBlur; as they do, half to one and a half times of it.
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

# Noise: the range and the line between shot and read noise of Brooks et al. 2019, without the scatter about the line:
# logarithm of read noise's variance = 2.18 times that of the shot noise's + 1.20.
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
    """The camera with this name.

    Raises:
        SynthesisError: If there is none.
    """
    if name not in CAMERAS:
        raise SynthesisError(f"{name} is not a camera; use one of {', '.join(CAMERAS)}")
    return CAMERAS[name]
