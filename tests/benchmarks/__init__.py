"""Time, inertia, balance and memory beside the rivals in the same run; passes no judgement."""
