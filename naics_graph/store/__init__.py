"""Graph databases behind one contract."""
