"""Files to a validated study."""
