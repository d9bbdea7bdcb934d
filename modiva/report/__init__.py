"""Figures and tables."""

from modiva.report.plots import figures

__all__ = ["figures"]
