"""Read models of the state: folds, nothing else.

`effective` is what can take effect now, and what is pending; `digest` is the hash that both routers of a pair
share; `listing` is the state as plain data for people and scripts, without secrets.
"""
