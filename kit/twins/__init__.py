"""Small models of the article's two architectures, with random weights made from a seed."""
