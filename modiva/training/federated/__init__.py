"""Federated training: clients that hold the sentences, rounds, and a server that averages them."""
