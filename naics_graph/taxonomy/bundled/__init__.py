"""The offline edition of the taxonomy that ships in the package."""
