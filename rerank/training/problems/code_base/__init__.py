"""Reading a code base: its modules, docstrings, unit tests and exercises, as far as they can become problems."""
