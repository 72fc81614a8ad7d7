"""Selection: from evidence to a ranking. Pure functions over records: no files, no models, no sandbox."""
