"""One step of gradient descent, of the parameters of one player alone."""

import torch
from torch import Tensor


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """A step down a loss; what else it depends on gets no gradient."""
    parameters = optimiser.param_groups[0]["params"]
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    optimiser.step()
