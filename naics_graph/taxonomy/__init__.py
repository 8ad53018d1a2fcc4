"""The industry taxonomy: sources, cleaning, and one validated value per vintage."""
