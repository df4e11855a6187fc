"""What breaks what: minimal cut sets, blast radius, expected loss."""
