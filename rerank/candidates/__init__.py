"""Candidates: sample files of every shape, the program in a model's answer, and the normal form that makes programs
equal. Nothing here runs a program, loads a model or sees a hidden test.
"""
