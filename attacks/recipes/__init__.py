"""Published attacks: objective, search and settings of each paper, one file for each paper."""
