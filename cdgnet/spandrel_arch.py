"""CDGNet for spandrel and for programs that load networks with spandrel; needs the extra ``peers``.

Importing this module is enough: ``spandrel.ModelLoader`` then loads the files that ``save_weights`` writes.

>>> import cdgnet.spandrel_arch
>>> from cdgnet import PRETRAINED
>>> from spandrel import ModelLoader
>>> ModelLoader().load_from_file(PRETRAINED).architecture.name
'CDGNet'
"""

from collections.abc import Mapping

from spandrel import MAIN_REGISTRY, Architecture, ArchSupport, ImageModelDescriptor, ModelTiling
from torch import Tensor

from cdgnet.deform import current_name
from cdgnet.errors import WeightsError
from cdgnet.network import CDGNet
from cdgnet.recognition import config_of, without_hints
from cdgnet.tiling import restore
from cdgnet.weights import network_of

_ENCODER = tuple(f"encoder.{level}_level.0.weight" for level in ("full", "half", "quarter"))
_HEADS = tuple(f"branches.{branch}.decoder.head.weight" for branch in ("small", "large", "plain"))


class CDGNetArch(Architecture[CDGNet]):  # type: ignore[misc]  # spandrel has no types
    """Architecture that recognises cdgnet's networks by the names of tensors, and their config by names and shapes."""

    def __init__(self) -> None:
        super().__init__(id="CDGNet", detect=_is_ours)

    def load(self, state_dict: Mapping[str, Tensor]) -> ImageModelDescriptor[CDGNet]:
        """Build a model that restores ``(B, 3, H, W)`` float in [0, 1], of any size; it tiles large frames itself.

        Raises:
            WeightsError: If the tensors are not those of one network, or do not determine its config.
        """
        tensors = {current_name(name): tensor for name, tensor in state_dict.items()}
        try:
            config = config_of(tensors)
            network = network_of(config, without_hints(tensors))
        except ValueError as error:
            raise WeightsError(f"these tensors are not a CDGNet: {error}") from error
        return ImageModelDescriptor(
            network,
            network.state_dict(),
            architecture=self,
            purpose="Restoration",
            tags=[config.variant, f"{config.widths[0]}w"],
            supports_half=True,
            supports_bfloat16=True,
            scale=1,
            input_channels=3,
            output_channels=3,
            # Attention averages over the whole frame, and a tile needs many pixels around it: `restore` handles both.
            tiling=ModelTiling.INTERNAL,
            call_fn=_restore,
        )


def _is_ours(state_dict: Mapping[str, object]) -> bool:
    return all(name in state_dict for name in _ENCODER) and any(name in state_dict for name in _HEADS)


def _restore(network: CDGNet, images: Tensor) -> Tensor:
    """Restore ``(B, 3, H, W)`` in [0, 1], as spandrel passes images; spandrel clamps the result."""
    return restore(network, images - 0.5) + 0.5


MAIN_REGISTRY.add(ArchSupport.from_architecture(CDGNetArch()), ignore_duplicates=True)
