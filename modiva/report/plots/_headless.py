"""Matplotlib without windows: it refuses to be imported where MPLBACKEND names no backend."""

import os

# Figures are files here, so the variable decides nothing; others in the process may read it.
_backend = os.environ.pop("MPLBACKEND", None)
try:
    import matplotlib as mpl
finally:
    if _backend is not None:
        os.environ["MPLBACKEND"] = _backend

__all__ = ["mpl"]
