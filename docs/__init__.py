"""Documentation and the scripts that generate its references; not part of the package."""
