"""Drawings of a plan as inline SVG, each from the rows of a section."""
