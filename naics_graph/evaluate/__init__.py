"""Measurements: retrieval, hierarchy, baselines, and the report over every stage."""
