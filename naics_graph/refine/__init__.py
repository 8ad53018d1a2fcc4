"""Stage 4: a hyperbolic graph network on subgraphs out of the database."""
