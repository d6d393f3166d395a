"""What runs on the executors: pandas and Arrow UDF factories, beside the schema each one yields."""
