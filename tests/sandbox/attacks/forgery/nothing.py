# Defines nothing at all.
"""def add is what the test wants."""
