"""CDGNet: from a blurry frame to the restored frame and its two components (section 3, Figure 3).

Legend: B batch, H and W the frame's height and width in pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cdgnet.attention import ComponentAttention
from cdgnet.config import ModelConfig
from cdgnet.decoder import Decoder, DeformableLayer, large_decoder, plain_decoder, small_decoder
from cdgnet.deform import DeformConv
from cdgnet.encoder import Encoder, Features, ResBlock, ResidualDenseBlock
from cdgnet.fusion import ConcatFusion, DivisionGate, OrientationFusion
from cdgnet.padding import MINIMUM_SIZE, SIZE_MULTIPLE, crop_to_size, pad_to_multiple
from cdgnet.patches import Cuts, PatchLevel, size_multiples, whole_frame
from cdgnet.shrinkage import shrink


class Components(NamedTuple):
    """Output of one forward pass of ``CDGNet``.

    Images are float, nominally in [-0.5, 0.5]; they are not clamped and may exceed that range. A network with a single
    branch has no components: its ``small`` and ``large`` are None.

    Attributes:
        restored: The restored frames, ``(B, 3, H, W)``, after the shrinkage of ``ModelConfig.shrinkage``.
        small: Image of the small branch, ``(B, 3, H, W)``, trained to be sharp where blur is small (Sout).
        large: Image of the large branch, ``(B, 3, H, W)``, trained to be sharp where blur is large (Lout).
        small_attention: Spatial attention Ms of the small branch, ``(B, 1, ceil(H/4), ceil(W/4))`` in (0, 1); None if
            the network has none.
        large_attention: The same for the large branch.
        share: The small branch's share of each pixel, of the same shape and range; only with ``fusion="divided"``.
    """

    restored: Tensor
    small: Tensor | None
    large: Tensor | None
    small_attention: Tensor | None
    large_attention: Tensor | None
    share: Tensor | None = None


class Decoded(NamedTuple):
    """Output of one branch; H' and W' are the padded height and width."""

    features: Tensor  # (B, widths[0], H', W'), Lout or Sout
    image: Tensor  # (B, 3, H', W'), the image, or with config.residual its difference from the blurry frame
    spatial: Tensor | None  # (B, 1, H'/4, W'/4), spatial attention


class Branch(nn.Module):
    """Attention and decoder of one component.

    Args:
        config: The network's configuration.
        decoder: Takes the attended features.
    """

    def __init__(self, config: ModelConfig, decoder: Decoder) -> None:
        super().__init__()
        self.attention = ComponentAttention(config)
        self.decoder = decoder
        self.has_skips = config.skips

    def forward(self, features: Features, mean: Tensor | None = None) -> Decoded:
        """Decode the encoder's features; ``mean`` is as in ``CDGNet.forward``."""
        attended = self.attention(features.quarter, mean)
        decoded = self.decoder(attended.features, features if self.has_skips else None)
        return Decoded(decoded, self.decoder.head(decoded), attended.spatial)


_DECODERS = {"large": large_decoder, "small": small_decoder, "plain": plain_decoder}


class CDGNet(nn.Module):
    """Blurry component divided guided network, one of its ablations (Tables 3 and 4), or DMPHN.

    Args:
        config: Structure and sizes of the network. With ``config.residual`` each output image is the blurry frame plus
            a convolution that starts at zero, so that a new network is the identity. The paper's literal reading is
            ``residual=False``.

    Examples:
        >>> import torch
        >>> network = CDGNet(ModelConfig.preset("tiny")).eval()
        >>> network(torch.zeros(1, 3, 90, 160)).restored.shape
        torch.Size([1, 3, 90, 160])

    Source: Wang et al. 2021, equation 2; ``fusion="divided"`` is an addition of this project.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        names = ("small", "large") if config.branches == "both" else (config.branches,)
        self.branches = nn.ModuleDict({name: Branch(config, _DECODERS[name](config)) for name in names})
        # The first level consists of the encoder and the branch above.
        self.levels = nn.ModuleDict({str(level): PatchLevel(config) for level in range(2, config.levels + 1)})
        fusions = {"orientation": OrientationFusion, "concat": ConcatFusion, "divided": OrientationFusion}
        self.fusion = fusions[config.fusion](config) if config.fusion in fusions else None
        for module in self.modules():
            if isinstance(module, Encoder | Decoder):
                _initialise(module)
            # Levels below the first start without effect on the frame.
            is_zero = config.residual or config.levels > 1
            if is_zero and isinstance(module, Decoder | OrientationFusion | ConcatFusion):
                _zero(module.head)
        # Created last: the other modules then draw the same random numbers with and without a gate.
        self.gate = DivisionGate(config) if config.fusion == "divided" else None
        self.to(memory_format=torch.channels_last)  # 25 % faster on a CPU

    def forward(
        self,
        blurry: Tensor,
        mean: Tensor | None = None,
        cuts: Sequence[Cuts] | None = None,
        *,
        shrinks: bool = True,
    ) -> Components:
        """Restore frames of any size.

        Args:
            blurry: ``(B, 3, H, W)`` float in [-0.5, 0.5]; H and W are at least 16.
            mean: For tiles only: the encoder's last features averaged over the whole frame, ``(B, widths[2], 1, 1)``.
                None if ``blurry`` holds whole frames. See ``tiling.restore``.
            cuts: For tiles only: where each patch level cuts ``blurry``. None if ``blurry`` holds whole frames.
            shrinks: Whether to apply ``config.shrinkage``. False for tiles only, because it needs whole frames.

        Returns:
            Images of the size of ``blurry``, and maps at a quarter of it. In training mode ``restored`` is always the
            output of the fusion, also with ``fusion="divided"``: the gate is trained but not applied, nor is the
            shrinkage.

        Raises:
            ValueError: If ``blurry`` is not ``(B, 3, H, W)``, not float, or smaller than 16 x 16 pixels.
        """
        _check(blurry)
        features = self._encode(blurry, cuts)
        decoded: dict[str, Decoded] = {name: branch(features, mean) for name, branch in self.branches.items()}
        if self.fusion is None:
            ((name, only),) = decoded.items()
            maps = (only.spatial, None) if name == "small" else (None, only.spatial)
            return Components(self._shrunk(blurry, self._image(blurry, only.image), shrinks), None, None, *maps)
        small, large = decoded["small"], decoded["large"]
        restored, share = self.fusion(large.features, small.features), None
        if self.gate is not None:
            share = self.gate(features)
            if not self.training:
                restored = _mix(small.image, restored, share)
        images = (restored, small.image, large.image)
        restored_image, small_image, large_image = (self._image(blurry, image) for image in images)
        restored_image = self._shrunk(blurry, restored_image, shrinks)
        return Components(restored_image, small_image, large_image, small.spatial, large.spatial, share)

    def _encode(self, blurry: Tensor, cuts: Sequence[Cuts] | None) -> Features:
        """Compute the first level's features, with those of the finer levels added."""
        levels = len(self.levels) + 1
        frame = blurry if cuts is not None else pad_to_multiple(blurry, size_multiples(levels))  # (B, 3, H', W')
        cuts = whole_frame(levels, (frame.shape[-2], frame.shape[-1])) if cuts is None else cuts
        seen, found = frame, None
        for index, level in reversed(list(enumerate(self.levels.values(), start=1))):
            change, found = level(seen, found, cuts[index], cuts[index - 1])
            seen = frame + change
        features: Features = self.encoder(seen)
        return features if found is None else features._replace(quarter=features.quarter + found)

    def _image(self, blurry: Tensor, change: Tensor) -> Tensor:
        cropped = crop_to_size(change, (blurry.shape[-2], blurry.shape[-1]))  # (B, 3, H, W)
        return blurry + cropped if self.config.residual else cropped

    def _shrunk(self, blurry: Tensor, restored: Tensor, shrinks: bool) -> Tensor:
        if self.training or not shrinks or not self.config.shrinkage:
            return restored
        return shrink(blurry, restored, self.config.shrinkage)


def _mix(small: Tensor, fused: Tensor, share: Tensor) -> Tensor:
    """Interpolate from the fused image (share 0) to the small branch's image (share 1), ``(B, 3, H', W')``."""
    share = interpolate(share, scale_factor=SIZE_MULTIPLE, mode="bilinear").to(fused.dtype)  # (B, 1, H', W')
    return fused + share * (small - fused)


def _initialise(part: nn.Module) -> None:
    """Draw weights that preserve the features' magnitude from layer to layer, and set biases to zero.

    With torch's default initialisation features shrink to a third at each convolution, biases dominate them, and
    after some hundred steps nine of ten ReLUs in a narrow network are dead. The last convolution of a residual block
    is scaled by 0.7, so that the sum has the magnitude of one term (He et al. 2015, without the factor for ReLUs).
    """
    lasts = [each.body[-1] for each in part.modules() if isinstance(each, ResBlock | DeformableLayer)]
    lasts += [each.join for each in part.modules() if isinstance(each, ResidualDenseBlock)]
    offsets = [each.offset_conv for each in part.modules() if isinstance(each, DeformConv)]
    for module in part.modules():
        if not isinstance(module, nn.Conv2d | nn.ConvTranspose2d | DeformConv) or module in offsets:
            continue
        inputs = module.weight[0].numel()
        if isinstance(module, nn.ConvTranspose2d):  # (inputs, outputs, 4, 4); each output pixel uses 2 x 2 taps
            inputs = module.weight.shape[0] * 4
        nn.init.normal_(module.weight, std=inputs**-0.5 * (0.5**0.5 if module in lasts else 1))
        if isinstance(module, DeformConv):
            module.weight.data.mul_(2)  # compensates for the modulation, which starts at 1/2
        assert module.bias is not None
        nn.init.zeros_(module.bias)


def _zero(head: nn.Conv2d) -> None:
    for parameter in head.parameters():
        nn.init.zeros_(parameter)


def _check(blurry: Tensor) -> None:
    if blurry.ndim != 4 or blurry.shape[1] != 3:
        raise ValueError(f"blurry is {tuple(blurry.shape)}; it must be (B, 3, H, W), a batch of RGB frames")
    if not blurry.is_floating_point():
        kind = str(blurry.dtype).removeprefix("torch.")
        raise ValueError(f"blurry is {kind}; it must be float in [-0.5, 0.5]: pass frames / 255 - 0.5")
    height, width = blurry.shape[-2:]
    if min(height, width) < MINIMUM_SIZE:
        least = f"{MINIMUM_SIZE} x {MINIMUM_SIZE}"
        raise ValueError(f"blurry is {width} x {height} pixels; it must be at least {least}")
