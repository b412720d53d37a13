"""Labels, splits and the inputs of training; imports nothing at package level."""
