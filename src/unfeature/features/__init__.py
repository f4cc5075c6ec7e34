"""Visual features that a Python function can measure on images."""
