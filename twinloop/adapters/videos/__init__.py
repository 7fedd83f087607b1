"""Videos: decoding with OpenCV, and the processes that do it."""
