"""Plug-ins for pytest that a run asks for with `-p`."""
