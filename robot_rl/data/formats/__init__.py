"""Experience in other people's formats: robomimic's HDF5, Minari, ROS 2 bags.

What comes in becomes a journal, which `--demos` takes; what goes out is read by the format's own tools.
"""
