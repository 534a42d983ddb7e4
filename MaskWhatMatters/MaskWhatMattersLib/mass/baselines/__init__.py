"""What segmentation by example has to beat: the example's label map, copied or registered to the new scan."""
