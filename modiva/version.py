"""The version of modiva."""

__version__ = "0.2.0"
