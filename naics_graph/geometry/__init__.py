"""Hyperbolic geometry, the Lorentz model."""
