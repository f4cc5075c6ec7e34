"""How generators come in: our own folders, and anyone's `module:factory` with a state-dict file."""
