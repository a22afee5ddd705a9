"""Franka arms over the maker's own client libraries: a driver process of its own behind the interface of every cell."""
