"""What a run needs besides its data; each check works even if what it checks is missing."""
