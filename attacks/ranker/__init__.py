"""The shadow-trained ranker: candidates ordered by all that the weights say of them."""
