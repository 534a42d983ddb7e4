"""Learning a task from few labelled images, starting from any encoder: classification, detection, segmentation."""
