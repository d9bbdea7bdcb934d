"""Target classifiers: small ones of our own and pretrained ones, all in the Hugging Face form.

Importing this package registers the own architectures with transformers' Auto classes.
"""

from transformers import AutoConfig, AutoModelForSequenceClassification

from modiva.classifiers import stacked
from modiva.classifiers.base import TargetClassifier
from modiva.classifiers.building import Classifier, build
from modiva.classifiers.checkpoint import load
from modiva.classifiers.cnn import CnnClassifier
from modiva.classifiers.lstm import LstmClassifier
from modiva.classifiers.recurrence import LstmRecurrence
from modiva.classifiers.registry import register_architecture as register_architecture
from modiva.classifiers.sentence import SentenceClassifier, SentenceConfig
from modiva.classifiers.spec import TargetSpec, parse_target
from modiva.classifiers.transformer import TransformerClassifier
from modiva.classifiers.wordspace import WordSpace

__all__ = [
    "Classifier",
    "LstmRecurrence",
    "SentenceClassifier",
    "TargetClassifier",
    "TargetSpec",
    "WordSpace",
    "build",
    "load",
    "parse_target",
    "stacked",
]

register_architecture("cnn", CnnClassifier)
register_architecture("lstm", LstmClassifier)
register_architecture("transformer", TransformerClassifier)
# Its tokenizer is its encoder's.
AutoConfig.register(SentenceConfig.model_type, SentenceConfig, exist_ok=True)
AutoModelForSequenceClassification.register(SentenceConfig, SentenceClassifier, exist_ok=True)
