"""The trainer that everybody writes first: DataLoader, autograd, torch's Adam, one model at a time.

This is the yardstick of ``make bench``, in its plain form and with no streams of ours; the
``reference`` trainer of the package is the same loop on our streams.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from fr_ensemble_assets.contract.recipe import Recipe
from fr_ensemble_assets.training.model import IN_FEATURES, FitInput


def train_plain(fit: FitInput, recipe: Recipe) -> nn.Module:
    """Train one model by the recipe."""
    torch.manual_seed(fit.seed)
    model = nn.Sequential(
        nn.Linear(IN_FEATURES, recipe.hidden),
        nn.GELU(),
        nn.Dropout(recipe.dropout),
        nn.Linear(recipe.hidden, recipe.hidden),
        nn.GELU(),
        nn.Dropout(recipe.dropout),
        nn.Linear(recipe.hidden, 1),
    )
    rows = TensorDataset(torch.from_numpy(fit.inputs), torch.from_numpy(fit.target))
    loader = DataLoader(rows, batch_size=recipe.batch_size, shuffle=True)
    optimiser = torch.optim.Adam(
        model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, eps=recipe.eps
    )
    loss_of = nn.MSELoss()
    model.train()
    for _ in range(recipe.epochs):
        for inputs, target in loader:
            optimiser.zero_grad()
            loss_of(model(inputs).squeeze(1), target).backward()
            optimiser.step()
    return model.eval()
