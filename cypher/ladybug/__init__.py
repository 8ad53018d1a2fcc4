"""Queries in the dialect of ladybug."""
