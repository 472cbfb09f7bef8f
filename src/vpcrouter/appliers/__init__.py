"""The hands: each looks, acts and looks again for one target. They get desired values and know nothing of the state."""
