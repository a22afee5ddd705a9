"""Cells that come with the project, one YAML file each: `controllers.cells` says what is in them."""
