"""Target classifiers: small ones of our own and pretrained ones, all in the Hugging Face form.

Importing this package registers the own architectures with transformers' Auto classes.
"""

from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedTokenizerFast,
)

from modiva.classifiers.base import TargetClassifier
from modiva.classifiers.building import Classifier, build
from modiva.classifiers.checkpoint import load, save, write_into
from modiva.classifiers.cnn import CnnClassifier
from modiva.classifiers.configuration import CnnConfig, LstmConfig, TargetConfig, TransformerConfig
from modiva.classifiers.lstm import LstmClassifier
from modiva.classifiers.recurrence import LstmRecurrence
from modiva.classifiers.sentence import SentenceClassifier, SentenceConfig
from modiva.classifiers.spec import TARGET_NAMES, TargetSpec, parse_target
from modiva.classifiers.tokenizer import encode, word_tokenizer
from modiva.classifiers.transformer import TransformerClassifier

__all__ = [
    "TARGET_NAMES",
    "Classifier",
    "CnnClassifier",
    "CnnConfig",
    "LstmClassifier",
    "LstmConfig",
    "LstmRecurrence",
    "SentenceClassifier",
    "SentenceConfig",
    "TargetClassifier",
    "TargetConfig",
    "TargetSpec",
    "TransformerClassifier",
    "TransformerConfig",
    "build",
    "encode",
    "load",
    "parse_target",
    "save",
    "word_tokenizer",
    "write_into",
]

for _model in (CnnClassifier, LstmClassifier, TransformerClassifier):
    AutoConfig.register(_model.config_class.model_type, _model.config_class, exist_ok=True)
    AutoModelForSequenceClassification.register(_model.config_class, _model, exist_ok=True)
    AutoTokenizer.register(
        _model.config_class, fast_tokenizer_class=PreTrainedTokenizerFast, exist_ok=True
    )
# Its tokenizer is its encoder's.
AutoConfig.register(SentenceConfig.model_type, SentenceConfig, exist_ok=True)
AutoModelForSequenceClassification.register(SentenceConfig, SentenceClassifier, exist_ok=True)
