"""What a study must meet beyond the types of its fields."""
