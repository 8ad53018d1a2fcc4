"""Commands of naics-graph, one file each."""
