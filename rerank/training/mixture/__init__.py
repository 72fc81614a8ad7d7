"""The mixture: judgment tasks of many data sets in one text-to-text form, their weights, and the rows drawn."""
