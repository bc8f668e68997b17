"""Lightning modules, checkpoints and callbacks."""
