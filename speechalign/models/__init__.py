"""The parts of the speech LLM and their composition."""
