"""Text protection: sentences are rewritten with noise before training, each on its own."""

from modiva.training.textprivacy.autoencoder import Autoencoder as Autoencoder
from modiva.training.textprivacy.registry import get_mechanism as get_mechanism
