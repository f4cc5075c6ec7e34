"""Where things compute: the device a setting names, and modules and images brought together."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unfeature.errors import UserError, first_line


def find_device(name: str, *, setting: str) -> torch.device:
    """The device of that name.

    Raises:
        UserError: torch knows no such device, or this machine has none.
    """
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:  # what is not built in is an assertion
        raise UserError(
            f"{setting} {name}: {first_line(error)}; leave it out for the CPU"
        ) from error


def beside(module: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """The images on the module's device, to which a module on the CPU is moved: what labels,
    judges or encodes pictures follows them to an accelerator, once."""
    parameter = next(module.parameters(), None) if isinstance(module, nn.Module) else None
    if parameter is None or parameter.device == images.device:
        return images
    if parameter.device.type == "cpu" and isinstance(module, nn.Module):
        module.to(images.device)
        return images
    return images.to(parameter.device)
