"""DMPHN in plain torch modules under the names of its published checkpoints: what ours are compared with.

Written from the paper (Zhang et al. 2019, section 3 and Figure 2) and from what the authors' checkpoints hold; each
level is spelled out, patch by patch.
"""

import torch
from torch import Tensor, nn


class Chain(nn.Module):
    """Layers in a row; of two convolutions with a ReLU between them the input is added to the output."""

    def __init__(self, layers: dict[int, nn.Module]) -> None:
        super().__init__()
        for number, layer in layers.items():
            self.add_module(f"layer{number}", layer)

    def forward(self, images: Tensor) -> Tensor:
        for layer in self.children():
            images = layer(images) + images if isinstance(layer, nn.Sequential) else layer(images)
        return images


def block(channels: int) -> nn.Sequential:
    first, second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in "12")
    return nn.Sequential(first, nn.ReLU(), second)


def encoder(full: int = 32, half: int = 64, quarter: int = 128) -> Chain:
    convolutions = {
        1: nn.Conv2d(3, full, 3, padding=1),
        5: nn.Conv2d(full, half, 3, stride=2, padding=1),
        9: nn.Conv2d(half, quarter, 3, stride=2, padding=1),
    }
    blocks = {2: block(full), 3: block(full), 6: block(half), 7: block(half), 10: block(quarter), 11: block(quarter)}
    return Chain(dict(sorted({**convolutions, **blocks}.items())))


def decoder(full: int = 32, half: int = 64, quarter: int = 128) -> Chain:
    convolutions = {
        16: nn.ConvTranspose2d(quarter, half, 4, stride=2, padding=1),
        20: nn.ConvTranspose2d(half, full, 4, stride=2, padding=1),
        24: nn.Conv2d(full, 3, 3, padding=1),
    }
    blocks = {
        13: block(quarter),
        14: block(quarter),
        17: block(half),
        18: block(half),
        21: block(full),
        22: block(full),
    }
    return Chain(dict(sorted({**convolutions, **blocks}.items())))


class PlainDMPHN:
    """Encoders and decoders of 3 or 4 levels, with weights of no training."""

    def __init__(self, levels: int, widths: tuple[int, int, int] = (32, 64, 128)) -> None:
        torch.manual_seed(levels)
        self.encoders = [encoder(*widths) for _ in range(levels)]
        self.decoders = [decoder(*widths) for _ in range(levels)]
        with torch.no_grad():
            for parameter in (each for part in (*self.encoders, *self.decoders) for each in part.parameters()):
                parameter.mul_(1.5)  # so that what reaches the image from the finest level is well above rounding

    @torch.no_grad()
    def __call__(self, blurry: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in [-0.5, 0.5], sides multiples of 8 (of 16 and 8 with four levels) -> restored."""
        (encode_1, encode_2, encode_3), (decode_1, decode_2, decode_3) = self.encoders[:3], self.decoders[:3]
        middle, centre = blurry.shape[-2] // 2, blurry.shape[-1] // 2
        top, bottom = blurry[:, :, :middle], blurry[:, :, middle:]
        quarters = [top[..., :centre], top[..., centre:], bottom[..., :centre], bottom[..., centre:]]
        if len(self.encoders) == 4:
            columns = [self._finest_column(each) for each in quarters]
            features = [
                encode_3(each + change) + found for each, (change, found) in zip(quarters, columns, strict=True)
            ]
        else:
            features = [encode_3(each) for each in quarters]
        upper, lower = torch.cat(features[:2], 3), torch.cat(features[2:], 3)
        halves = [encode_2(top + decode_3(upper)) + upper, encode_2(bottom + decode_3(lower)) + lower]
        whole = torch.cat(halves, 2)
        restored: Tensor = decode_1(encode_1(blurry + decode_2(whole)) + whole)
        return restored

    def _finest_column(self, quarter: Tensor) -> tuple[Tensor, Tensor]:
        """The fourth level of one quarter of the frame, which it cuts in an upper and a lower half."""
        middle = quarter.shape[-2] // 2
        found = torch.cat([self.encoders[3](quarter[:, :, :middle]), self.encoders[3](quarter[:, :, middle:])], 2)
        return self.decoders[3](found), found
