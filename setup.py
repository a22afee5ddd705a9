"""For colcon, which asks for a setup.py; the rest is said in pyproject.toml."""

from setuptools import setup

setup(python_requires=">=3.11,<3.13")
