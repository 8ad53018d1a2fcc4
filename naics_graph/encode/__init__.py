"""Stages 1 and 2: texts to channel vectors, and their mixture of experts."""
