"""Starts the word cloud system as processes of this machine, and stops it."""
