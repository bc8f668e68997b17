"""Grids of trainings in the micro world: what is compared is told by a YAML file."""
