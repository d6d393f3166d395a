"""The planner's arithmetic: what a run will cost, from sizes alone; knows no Spark and no lake."""
