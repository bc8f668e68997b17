"""Optimal transport between token sequences, its controls and its layer schedules."""
