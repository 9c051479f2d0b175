"""Answers and vectors to files, and back."""
