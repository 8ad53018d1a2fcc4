"""NAICS industry codes: a taxonomy in a graph database, embedded in hyperbolic space."""
