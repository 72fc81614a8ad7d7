"""Problems: the readers of benchmarks and problem files, one file for each release's form.
What a hidden test is stays in the record; nothing here runs one.
"""
