"""Evidence: all that selection may look at. Each file finds one kind; `record.py` holds what was found for one problem
and `gathering.py` is the one place that puts it together. Hidden tests never enter.
"""
