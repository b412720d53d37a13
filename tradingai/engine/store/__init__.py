"""What is kept: the database, and the files of candles and features."""
