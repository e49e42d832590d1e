"""The HTTP edge: decode, call one service function, encode. Errors meet their status codes here and nowhere else."""
