"""Early stopping on the validation loss, for one model or for each of a stack."""

from dataclasses import dataclass


@dataclass
class EarlyStopping:
    """Follow one model's validation loss.

    Args:
        patience: epochs without a lower loss after which to stop; None never stops, and then
            the last epoch is the one to keep.
    """

    patience: int | None
    best_epoch: int = 0
    best_loss: float = float("inf")
    last_epoch: int = 0

    def update(self, epoch: int, loss: float | None) -> bool:
        """Note an epoch's loss; True if its weights are now the ones to keep."""
        self.last_epoch = epoch
        if self.patience is None or loss is None:
            self.best_epoch = epoch
            return True
        # The first epoch counts even if its loss is not a number: something must be kept.
        if loss < self.best_loss or self.best_epoch == 0:
            self.best_epoch, self.best_loss = epoch, loss
            return True
        return False

    @property
    def stop(self) -> bool:
        """Whether patience has run out."""
        return self.patience is not None and self.last_epoch - self.best_epoch >= self.patience
