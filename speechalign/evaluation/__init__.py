"""Scores that carry their signatures."""
