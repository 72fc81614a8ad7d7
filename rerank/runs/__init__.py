"""Runs: a folder of journals, and the stages that fill it: candidates, evidence, judgments, rankings, outcomes. A
killed stage goes on where it stopped. Every stage reads and writes here and nowhere else; tables and plots are in
reports/.
"""
