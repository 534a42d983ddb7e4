"""Sets of scans on disk: manifests, caches and augmentation."""
