"""What a protection costs, and whom: accuracy by group of test sentences, paired by model seed."""
