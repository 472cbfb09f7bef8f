"""Sequences that must survive being cut off midway: pure, with time passed in. They answer, they call nobody."""
