"""Whether the network can learn at all: one pair, seen again and again, is restored."""

import click
import numpy as np
import pytest
import torch
from skimage.data import astronaut
from strokes import HAND, THING
from torch import Tensor

from cdgnet import CDGNet, ModelConfig, deblurring_losses, psnr, to_bytes
from prep.synthesis.from_photos import shake
from prep.synthesis.outlines import Segments
from prep.synthesis.recipes import PhotoRecipe

STEPS = 600
RATE = 3e-4  # thrice the paper's


def to_range(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255 - 0.5


@pytest.mark.long
def test_paper_restores_one_pair_beyond_35_db_in_600_steps(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    recipe = PhotoRecipe(count=1, size=(128, 128), hand=HAND, thing=THING, things=(1, 1))
    pair = shake(astronaut(), Segments(astronaut()), recipe, [0])
    blurry, sharp = to_range(pair.blurry), to_range(pair.sharp)
    mask = torch.from_numpy(pair.extent <= 6)[None, None]
    network = CDGNet(ModelConfig.preset("paper"))
    adam = torch.optim.Adam(network.parameters(), lr=RATE)
    reached = []
    for step in range(STEPS):
        components = network(blurry)
        losses = deblurring_losses(components, sharp, mask, lambda_small=0.1, lambda_large=0.1)
        adam.zero_grad()
        losses.total.backward()
        adam.step()
        reached.append(float(psnr(to_bytes(components.restored.detach()), to_bytes(sharp))))
        if step % 50 == 0 or step == STEPS - 1:
            with capsys.disabled():
                click.echo(f"step {step}: {reached[-1]:.2f} dB")

    assert reached[0] < 28  # the blurry frame's 27.2: a network starts as the identity
    assert max(reached) > 35
