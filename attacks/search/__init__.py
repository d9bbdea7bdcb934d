"""Searches for the lowest objective: one file each, all with the same face."""
