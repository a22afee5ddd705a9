"""Success seen in pictures: a small network on frozen features, calibrated, with a known rate of errors."""
