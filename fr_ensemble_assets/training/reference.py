"""The plain trainer: one model, autograd, ``torch.optim.Adam``. Other trainers are held to it."""

from __future__ import annotations

from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.foundation.progress import StepReport, report_nothing
from fr_ensemble_assets.training.denormals import denormals_flushed
from fr_ensemble_assets.training.model import (
    FitInput,
    Parameters,
    build_module,
    initial_parameters,
)
from fr_ensemble_assets.training.streams import DropoutStream, epoch_order, steps_per_epoch


def train_reference(
    fit: FitInput, recipe: Recipe, report: StepReport = report_nothing
) -> Parameters:
    """Train one model as one would write it down, on the streams that every trainer shares."""
    with denormals_flushed():
        return _train(fit, recipe, report)


def _train(fit: FitInput, recipe: Recipe, report: StepReport) -> Parameters:
    import torch

    module = build_module(initial_parameters(fit.seed, recipe))
    linears = [layer for layer in module if isinstance(layer, torch.nn.Linear)]  # type: ignore[attr-defined]
    optimiser = torch.optim.Adam(
        module.parameters(),
        lr=recipe.lr,
        betas=(recipe.beta1, recipe.beta2),
        eps=recipe.eps,
        weight_decay=recipe.weight_decay,
    )
    inputs, target = torch.from_numpy(fit.inputs), torch.from_numpy(fit.target)
    dropout = DropoutStream(fit.seed, recipe)
    steps = steps_per_epoch(len(inputs), recipe.batch_size)

    for epoch in range(recipe.epochs):
        order = torch.from_numpy(epoch_order(fit.seed, epoch, len(inputs)))
        masks = torch.from_numpy(dropout.masks(epoch * steps, steps))
        for step, batch in enumerate(torch.split(order, recipe.batch_size)):
            hidden = inputs[batch]
            for layer, linear in enumerate(linears[:-1]):
                mask = masks[step, layer, : len(batch)]
                hidden = torch.nn.functional.gelu(linear(hidden)) * mask
            loss = torch.nn.functional.mse_loss(linears[-1](hidden).squeeze(1), target[batch])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        report((epoch + 1) * steps, recipe.epochs * steps)

    return Parameters(
        tuple(linear.weight.detach().numpy().copy() for linear in linears),
        tuple(linear.bias.detach().numpy().copy() for linear in linears),
    )
