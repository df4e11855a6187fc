"""What people ask next of a study and its plan."""
