"""What a training needs of memory, found without taking a step."""
