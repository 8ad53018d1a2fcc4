"""Questions: from a text or a code to ranked codes with their paths."""
