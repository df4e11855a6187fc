"""Files that other programs read, made of an audited plan."""
