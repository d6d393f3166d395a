"""Train an encoder on batches of hard negatives: a linear one here, yours in its place.

It needs `pip install 'evenlake[training]'`, and an export with a column of vectors:

    evenlake negatives --config my.yaml contrast.source=pool
    evenlake export /lake/negatives --of negatives --columns vector --config my.yaml
    python contrastive_torch.py /lake/negatives vector
"""

import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Linear
from torch.nn.functional import cross_entropy, normalize

from jobs.training.torch_batches import BatchLoader, TorchBatches

SCALE = 10.0  # of cosines, the inverse of a temperature
NOISE = 0.1  # of a view, relative to a vector's deviation


def view(X: Tensor) -> Tensor:
    """Return a random view of vectors; of images it is a crop, of texts a dropout of words."""
    return X + NOISE * X.std() * torch.randn_like(X)


def info_nce(a: Tensor, b: Tensor) -> Tensor:
    """Return the loss of telling each point's second view from those of the batch's others."""
    logits = SCALE * normalize(a) @ normalize(b).T  # (n, n)
    return cross_entropy(logits, torch.arange(len(a)))


def train(folder: str, column: str, *, n_epochs: int = 3, n_features: int = 32) -> list[float]:
    """Return the mean loss of each epoch."""
    batches = TorchBatches(folder, columns=[column], shuffle=True)
    loader = BatchLoader(batches)
    torch.manual_seed(0)
    first = next(iter(loader))[column]
    encoder = Linear(first.shape[1], n_features)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    means = []
    for epoch in range(n_epochs):
        loader.set_epoch(epoch)
        losses = []
        for batch in loader:
            X = batch[column].float()
            loss = info_nce(encoder(view(X)), encoder(view(X)))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        means.append(sum(losses) / len(losses))
    return means


def main(argv: Sequence[str]) -> None:
    """Train, and print each epoch's loss."""
    for epoch, loss in enumerate(train(argv[0], argv[1])):
        print(f"epoch={epoch} loss={loss:.3f}")


if __name__ == "__main__":
    main(sys.argv[1:])
