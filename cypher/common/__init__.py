"""Queries both databases understand."""
