"""Measurements beside their peers: `python -m bench`. A module here that has `rows(smoke)` is part of the table."""
