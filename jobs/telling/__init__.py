"""What a report tells of its samples in words: next to a uniform one, and in warnings."""
