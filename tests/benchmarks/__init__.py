"""Time, inertia and memory beside the rivals, on the same data in the same run; judges nothing."""
